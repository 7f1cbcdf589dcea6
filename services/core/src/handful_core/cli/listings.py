"""`handful models` and `handful runs`: what the registry and the experiments hold."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from handful_core.console import print_json, print_table, say
from handful_core.settings import CoreSettings, load

if TYPE_CHECKING:
    from handful_core.registry import RegisteredModel, RunSummary, Version

_METRICS = "metrics."
_SHOWN = 3
"""So many metrics are shown; --json has all."""
_FIRST = ("mAP50_95", "macro_f1", "mAP50", "accuracy", "count_accuracy", "f1")
"""Metrics by which a person chooses come first, where there are some."""

AsJson = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]


def models(
    name: Annotated[str | None, typer.Argument(help="A registered model: its versions are listed.")] = None,
    as_json: AsJson = False,
) -> None:
    """List the registered models, or the versions of one."""
    from handful_core.registry import Registry

    with Registry(load(CoreSettings).mlflow_uri) as registry:
        if name is not None:
            _show_versions(name, registry.versions(name), as_json=as_json)
            return
        found = [(model, registry.versions(model.name)) for model in registry.models()]
        where = registry.uri
    if as_json:
        print_json([_model_json(model, versions) for model, versions in found])
    elif not found:
        say(f"MLflow at {where} has no models yet: `handful train --config configs/fingers.yaml` makes one")
    else:
        rows = [_model_row(model, versions) for model, versions in found]
        print_table("Models", ("model", "task", "champion", "its metrics", "versions"), rows)
        say("next: `handful models NAME` lists the versions of one")


def runs(
    experiment: Annotated[str | None, typer.Option(metavar="NAME", help="Only runs of this experiment.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="How many at most.")] = 20,
    as_json: AsJson = False,
) -> None:
    """List the newest runs: trainings, searches and their trials."""
    from handful_core.registry import Registry

    with Registry(load(CoreSettings).mlflow_uri) as registry:
        found, where = registry.runs(experiment, limit), registry.uri
    if as_json:
        print_json([_run_json(run) for run in found])
    elif not found:
        say(f"MLflow at {where} has no runs yet: `handful train --config configs/fingers.yaml` makes one")
    else:
        rows = [_run_row(run) for run in found]
        print_table("Runs", ("run and its id", "experiment", "status", "started", "took", "test"), rows)


def _show_versions(name: str, versions: list[Version], *, as_json: bool) -> None:
    if as_json:
        print_json([_version_json(version) for version in versions])
        return
    rows = [
        (
            version.version,
            ", ".join(version.aliases),
            _when(version.created),
            _numbers(_metrics(version)),
            version.tags.get("gate.decision", ""),
            version.tags.get("dataset", ""),
        )
        for version in versions
    ]
    print_table(name, ("version", "aliases", "made", "test metrics", "gate", "dataset"), rows)
    say("metrics are of each version's own test images: those of different test images are no ranking")
    if versions and not any("champion" in version.aliases for version in versions):
        say(f"next: `handful promote {name} {versions[0].version}`, since no version is champion")


def _model_row(model: RegisteredModel, versions: list[Version]) -> tuple[object, ...]:
    champion = next((version for version in versions if "champion" in version.aliases), None)
    told = [champion, *versions] if champion else versions
    task = next((version.tags["task"] for version in told if "task" in version.tags), "")
    number = f"version {champion.version}" if champion else "none"
    return model.name, task, number, _numbers(_metrics(champion)) if champion else "", len(versions)


def _model_json(model: RegisteredModel, versions: list[Version]) -> dict[str, Any]:
    made = [_version_json(version) for version in versions]
    return {"name": model.name, "aliases": dict(model.aliases), "versions": made}


def _version_json(version: Version) -> dict[str, Any]:
    return {
        "version": version.version,
        "aliases": list(version.aliases),
        "created": _iso(version.created),
        "run_id": version.run_id,
        "metrics": _metrics(version),
        "tags": dict(version.tags),
    }


def _metrics(version: Version) -> dict[str, float]:
    found = {}
    for tag, value in version.tags.items():
        if tag.startswith(_METRICS):
            try:
                found[tag.removeprefix(_METRICS)] = float(value)
            except ValueError:  # A tag that somebody else set.
                continue
    return found


def _numbers(metrics: Mapping[str, float], shown: int = _SHOWN) -> str:
    ranked = sorted(metrics, key=lambda name: (_FIRST.index(name) if name in _FIRST else len(_FIRST), name))
    return ", ".join(f"{name} {metrics[name]:.3f}" for name in ranked[:shown])


def _run_row(run: RunSummary) -> tuple[str, ...]:
    tested = {name.removeprefix("test/"): value for name, value in run.metrics.items() if name.startswith("test/")}
    overall = {name: value for name, value in tested.items() if "/" not in name}
    named = f"{run.name}\n{run.run_id}"
    return named, run.experiment, run.status, _when(run.started), _took(run), _numbers(overall, 1)


def _run_json(run: RunSummary) -> dict[str, Any]:
    return {
        "run_id": run.run_id,
        "name": run.name,
        "experiment": run.experiment,
        "status": run.status,
        "started": _iso(run.started),
        "ended": _iso(run.ended),
        "metrics": dict(run.metrics),
    }


def _took(run: RunSummary) -> str:
    if run.started is None or run.ended is None:
        return ""
    seconds = int((run.ended - run.started).total_seconds())
    hours, minutes = divmod(seconds // 60, 60)
    return f"{hours}:{minutes:02}:{seconds % 60:02}" if hours else f"{minutes}:{seconds % 60:02}"


def _when(time: datetime | None) -> str:
    return f"{time.astimezone():%Y-%m-%d %H:%M}" if time else ""


def _iso(time: datetime | None) -> str | None:
    return time.isoformat() if time else None
