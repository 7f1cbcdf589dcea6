"""The plan of an import over REST."""

from __future__ import annotations

from handful_backup.plan import Plan
from handful_backup.portable.wanted import Wanted


def make_plan(wanted: Wanted) -> Plan:
    """Count what is new, what changes and what is there."""
    plan = Plan("portable")
    _things(plan, wanted)
    for row in wanted.scratch.rows("registered_models"):
        _versions(plan, wanted, row["name"])
        _aliases(plan, wanted, row["name"])
    return plan


def _things(plan: Plan, wanted: Wanted) -> None:
    known = wanted.known
    for row in wanted.scratch.rows("experiments"):
        found = known.experiments.get(row["experiment_id"])
        changes = found is not None and wanted.experiment(found, row)
        _count(plan, "experiments", is_new=found is None, changes=changes)
    for row in wanted.scratch.rows("runs"):
        run = known.runs.get(row["run_uuid"])
        _count(plan, "runs", is_new=run is None, changes=wanted.run(run, row))
    for logged in wanted.logged_models():
        model = known.models.get(logged["model_id"])
        _count(plan, "logged models", is_new=model is None, changes=wanted.model(model))


def _versions(plan: Plan, wanted: Wanted, name: str) -> None:
    here = wanted.wish.prefix + name
    _count(plan, "registered models", is_new=here not in wanted.known.numbers, changes=wanted.wish.overwrite)
    last = max(wanted.known.numbers.get(here, ()), default=0)
    for version in wanted.versions(name):
        is_new = (here, version["version"]) not in wanted.known.versions
        _count(plan, "versions", is_new=is_new, changes=wanted.version(here, version))
        if is_new and version["version"] <= last:
            plan.notes.append(f"model {here}: version {version['version']} gets the next free number")


def _aliases(plan: Plan, wanted: Wanted, name: str) -> None:
    here = wanted.wish.prefix + name
    for alias, version in wanted.aliases(name).items():
        now = wanted.known.aliases.get(here, {}).get(alias)
        other = now is not None and now != wanted.known.versions.get((here, version))
        _count(plan, "aliases", is_new=now is None, changes=other and wanted.wish.overwrite)
        if other and not wanted.wish.overwrite:
            plan.notes.append(f"model {here}: its alias {alias} stays at version {now}")


def _count(plan: Plan, kind: str, *, is_new: bool, changes: bool) -> None:
    line = plan.lines[kind]
    if is_new:
        line.new += 1
    elif changes:
        line.changed += 1
    else:
        line.there += 1
