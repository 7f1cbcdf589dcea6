"""Importing over REST: empty runs and models first, then their content, then versions, and aliases at the very end."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from types import TracebackType
from typing import Self

from handful_backup.artifact_import import ArtifactImport
from handful_backup.artifacts import StoreResolver
from handful_backup.increment import DIGESTS, require_base
from handful_backup.plan import ImportJob, ImportPlan
from handful_backup.portable.diff import ImportDiff
from handful_backup.portable.model_writer import LoggedModelWriter, VersionWriter
from handful_backup.portable.run_writer import ExperimentWriter, RunWriter
from handful_backup.portable.server_state import Origins, ServerEntity, ServerState, ServerStateReader
from handful_backup.portable.staging import StagingDatabase
from handful_backup.portable.starter import RestStarter
from handful_backup.progress import Progress
from handful_backup.starter import gives_way
from handful_backup.tables import Record
from handful_backup.temp_cleanup import work_folder
from handful_core.registry.rest import Rest


class RestImport:
    """An import over REST.

    Interrupted at any point, a second import goes on from there: tags name what the first one created.

    Args:
        rest: the server.
        stores: where artifacts go.
        job: what is imported.
        progress: shows how far it is.
    """

    def __init__(self, rest: Rest, stores: StoreResolver, job: ImportJob, progress: Progress) -> None:
        self._rest = rest
        self._stores = stores
        self._job = job
        self._progress = progress
        self._stack = ExitStack()
        self._artifacts = ArtifactImport(job.backup, stores, progress, job.jobs)

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            self._staging = StagingDatabase(stack.enter_context(work_folder()) / "rows.db")
            stack.callback(self._staging.close)
            self._staging.fill(self._job.backup, self._job.selected)
            self._stack = stack.pop_all()
        self._state_reader = ServerStateReader(self._rest, self._job.policy, Origins.of(self._staging))
        self._diff = ImportDiff(self._staging, self.state, self._job.policy)
        self._experiments = ExperimentWriter(self._rest, self._diff, self._artifacts)
        self._runs = RunWriter(self._rest, self._diff, self._artifacts)
        self._models = LoggedModelWriter(self._rest, self._diff, self._artifacts)
        self._starter = RestStarter(self._rest, self._stores, self._job.jobs)
        self._versions = VersionWriter(self._rest, self._diff, self._artifacts, self._models)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    @property
    def state(self) -> ServerState:
        """What the server has, once it was planned."""
        return self._state_reader.state

    def plan(self) -> ImportPlan:
        """Compare the backup with the server; a starter that nobody has used counts as not there."""
        self.find()
        plan = self._diff.make_plan()
        things = None if plan.nothing_to_do else self._starter.replace_by(self._job, self._diff)
        if things is None:
            return plan
        plan = self._diff.make_plan()
        plan.notes.insert(0, gives_way(things))
        return plan

    def find(self) -> None:
        """Look for the backup's things on the server."""
        reader, staging, backup = self._state_reader, self._staging, self._job.backup
        reader.find_experiments(staging.rows("experiments"))
        # An incremental backup lists the runs that it leaves out by their digests: they must exist as well.
        left_out = staging.rows(DIGESTS) if backup.manifest.base else ()
        runs = dict.fromkeys(row["run_uuid"] for rows in (staging.rows("runs"), left_out) for row in rows)
        reader.find_runs(list(runs))
        require_base(backup, self.state.runs)
        of_versions = (f"version {name}" for kind, name in self._artifacts.by_folder() if kind == "versions")
        reader.find_logged_models([*(row["model_id"] for row in self._diff.logged_models()), *of_versions])
        for row in staging.rows("registered_models"):
            reader.find_versions(row["name"], self._diff.versions(row["name"]))

    def run_as_starter(self, plan: ImportPlan) -> None:
        """Do what the plan says, and tag what was brought as a starter, if the server has nothing of anybody's."""
        before = self._starter.counts_before(self.state)
        self.run(plan)
        self._starter.mark(self._job, before)

    def run(self, plan: ImportPlan) -> None:
        """Do what the plan says.

        Serving follows aliases, so they come last: it never sees half a model.
        """
        if plan.nothing_to_do:
            return
        self._experiments.create_missing()
        self._experiments.refuse_folders_elsewhere()
        new_models = self._import_runs_and_models()
        self._starter.delete_models(self.state)
        registered = list(self._staging.rows("registered_models", order="name"))
        for row in registered:
            self._import_versions(row, plan)
        for model in new_models:
            self._models.name_versions(model)
        for row in registered:
            self._set_aliases(row["name"])
        self._experiments.delete()
        self._starter.delete_rest(self.state)

    def _import_runs_and_models(self) -> list[Record]:
        """Create and fill runs and logged models; the logged models that were filled."""
        state, diff = self.state, self._diff
        runs = [r for r in self._staging.rows("runs") if diff.run_needs_update(state.runs.get(r["run_uuid"]), r)]
        models = [m for m in diff.logged_models() if diff.logged_model_needs_update(state.models.get(m["model_id"]))]
        new_models = [m for m in models if not self._has_complete_model(m["model_id"])]
        self._progress.bytes("runs and artifacts", sum(m.size for m in self._job.backup.artifacts.values()))
        # Runs and logged models name each other: all exist before any is filled.
        self._create(runs, "run_uuid", state.runs, self._runs.create)
        self._create(models, "model_id", state.models, self._models.create)
        self._for_each(models, self._models.fill)
        self._for_each(runs, self._runs.fill)
        return new_models

    def _has_complete_model(self, model: str) -> bool:
        found = self.state.models.get(model)
        return found is not None and found.is_complete and found.id not in self.state.starter.get("models", ())

    def _create(
        self,
        rows: Iterable[Record],
        key: str,
        existing: dict[str, ServerEntity],
        create: Callable[[Record], ServerEntity],
    ) -> None:
        missing = [row for row in rows if row[key] not in existing]
        with ThreadPoolExecutor(self._job.jobs) as pool:
            for row, created in zip(missing, pool.map(create, missing), strict=True):
                existing[row[key]] = created

    def _for_each(self, rows: Iterable[Record], work: Callable[[Record], None]) -> None:
        with ThreadPoolExecutor(self._job.jobs) as pool:
            for _ in pool.map(work, rows):  # Raises what a thread raised.
                pass

    def _import_versions(self, row: Record, plan: ImportPlan) -> None:
        name = self._job.policy.prefixed(row["name"])
        if name not in self.state.numbers:
            self._versions.create_model(row)
        elif self._job.policy.overwrite:
            self._versions.update_model(row)
        highest = last = max(self.state.numbers.get(name, [0]), default=0)
        for here, number in self.state.placeholders:
            if here == name:
                self._versions.delete(name, number)
        for version in self._diff.versions(row["name"]):
            found = self.state.versions.get((name, version["version"]))
            if found is not None:
                self._update_version(name, version, found)
                continue
            last = self._versions.create(version, last)
            self.state.versions[name, version["version"]] = last
            if highest < version["version"] != last:
                plan.notes.append(f"model {name}: version {version['version']} becomes {last}: its number was used")

    def _update_version(self, name: str, version: Record, number: int) -> None:
        if self._job.policy.overwrite:
            self._versions.update(version, number)
        if self._diff.stage_needs_update(name, version):
            self._versions.set_stage(name, number, version)

    def _set_aliases(self, name: str) -> None:
        here = self._job.policy.prefixed(name)
        for alias, version in self._diff.aliases(name).items():
            now = self.state.aliases.get(here, {}).get(alias)
            number = self.state.versions[here, version]
            if now is None or (now != number and self._job.policy.overwrite):
                self._versions.set_alias(here, alias, number)
