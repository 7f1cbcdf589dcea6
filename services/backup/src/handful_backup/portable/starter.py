"""Untouched starters on a server that is asked over REST: found, marked, and removed for a restored backup."""

from __future__ import annotations

from contextlib import suppress

from handful_backup.artifacts import StoreResolver
from handful_backup.mlflow_tags import STARTER
from handful_backup.plan import ImportJob
from handful_backup.portable.diff import ImportDiff
from handful_backup.portable.server_state import ServerState
from handful_backup.portable.source import RestSource
from handful_backup.starter import (
    Counts,
    Owners,
    StarterThings,
    counts_before,
    files_of,
    has_unchanged_rows,
    hash_of_files,
    is_markable,
    mark_of,
    may_replace_starter,
    read_mark,
)
from handful_backup.tables import DEFAULT_WORKSPACE
from handful_core.errors import NotFoundError
from handful_core.registry.rest import API, Rest


class RestStarter:
    """The starter of a server.

    Args:
        rest: the server.
        stores: where its artifacts are.
        jobs: requests at the same time.
    """

    def __init__(self, rest: Rest, stores: StoreResolver, jobs: int) -> None:
        self._rest = rest
        self._stores = stores
        self._jobs = jobs

    def counts_before(self, state: ServerState) -> Counts | None:
        """What the server holds beside what an import that was broken off has left of the backup."""
        with RestSource(self._rest, self._jobs) as source:
            return counts_before(source, self._stores, _things_in(state))

    def mark(self, job: ImportJob, before: Counts | None) -> None:
        """Tag every registered model with the mark, if the server has starters and nothing else."""
        with RestSource(self._rest, self._jobs) as source:
            if not is_markable(job, source, before):
                return
            value = mark_of(source, self._stores).as_tag()
            names = [row["name"] for row in source.rows("registered_models")]
        for name in names:
            body = {"name": name, "key": STARTER, "value": value}
            self._rest.send("POST", f"{API}/registered-models/set-tag", body)

    def replace_by(self, job: ImportJob, diff: ImportDiff) -> StarterThings | None:
        """Note what the starter brought, if nobody has used it and the backup takes its place; else None."""
        if not self._is_marked():
            return None
        with RestSource(self._rest, self._jobs) as source:
            mark = read_mark(source)
            if mark is None or not may_replace_starter(job, source) or "traces" in source.not_carried():
                return None
            if not has_unchanged_rows(source, mark) or hash_of_files(files_of(source, self._stores)) != mark.files:
                return None
            things = StarterThings.of(source)
        diff.state.starter = things.owners
        for _, name in things.owners["registered"]:
            self._forget_model(diff, name)
        return things

    def delete_models(self, state: ServerState) -> None:
        """Delete the registered models: the backup's get their numbers and aliases. It is the last that is deleted."""
        for _, name in sorted(state.starter.get("registered", ())):
            self._rest.send("DELETE", f"{API}/registered-models/delete", {"name": name})

    def delete_rest(self, state: ServerState) -> None:
        """Delete the runs and experiments that are not the backup's; REST deletes no logged model for good either."""
        runs, experiments = ({e.id for e in found.values()} for found in (state.runs, state.experiments))
        for run in sorted(state.starter.get("runs", set()) - runs):
            self._rest.send("POST", f"{API}/runs/delete", {"run_id": run})
        for number in sorted(map(str, state.starter.get("experiments", ()))):
            if number not in experiments:
                self._rest.send("POST", f"{API}/experiments/delete", {"experiment_id": number})
        for model in sorted(state.starter.get("models", set()) - {m.id for m in state.models.values()}):
            with suppress(NotFoundError):
                self._rest.send("DELETE", f"{API}/logged-models/{model}", None)

    def _is_marked(self) -> bool:
        """Whether every registered model has the tag: a look at one page tells the most servers apart."""
        models = list(self._rest.pages(f"{API}/registered-models/search", "registered_models", {}))
        return bool(models) and all(STARTER in {tag["key"] for tag in model.get("tags", ())} for model in models)

    def _forget_model(self, diff: ImportDiff, name: str) -> None:
        state = diff.state
        for found in (state.numbers, state.aliases):
            found.pop(name, None)
        state.versions = {key: number for key, number in state.versions.items() if key[0] != name}
        state.stages = {key: stage for key, stage in state.stages.items() if key[0] != name}
        state.imported_without_stage = {key for key in state.imported_without_stage if key[0] != name}
        state.placeholders = [key for key in state.placeholders if key[0] != name]


def _things_in(state: ServerState) -> Owners:
    """What the server has of the backup, by its own ids."""
    versions = {(DEFAULT_WORKSPACE, name, number) for (name, _), number in state.versions.items()}
    return {
        "experiments": {int(found.id) for found in state.experiments.values()},
        "runs": {found.id for found in state.runs.values()},
        "models": {found.id for found in state.models.values()},
        "registered": {owner[:2] for owner in versions},
        "versions": versions,
    }
