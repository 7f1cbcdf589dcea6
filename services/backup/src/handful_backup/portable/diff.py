"""What a backup has and a server has not, or has differently."""

from __future__ import annotations

from collections.abc import Iterator

from handful_backup.plan import ConflictPolicy, ImportPlan
from handful_backup.portable.server_state import ServerEntity, ServerState
from handful_backup.portable.staging import StagingDatabase
from handful_backup.tables import NO_STAGE, Record, live_versions, production_champions, stage_of
from handful_core.registry import CHAMPION


class ImportDiff:
    """Compares a backup's rows with what a server has.

    Attributes:
        staging: the backup's rows.
        state: what the server has.
        policy: what happens to things that exist.
    """

    def __init__(self, staging: StagingDatabase, state: ServerState, policy: ConflictPolicy) -> None:
        self.staging = staging
        self.state = state
        self.policy = policy

    def logged_models(self) -> Iterator[Record]:
        """The backup's logged models, less the deleted ones: REST has no way to create those."""
        return self.staging.rows("logged_models", "lifecycle_stage IS NOT 'deleted'")

    def versions(self, name: str) -> list[Record]:
        """A model's versions in the backup, by number."""
        return live_versions(list(self.staging.rows("model_versions", "name = ?", name)))

    def aliases(self, name: str) -> dict[str, int]:
        """A model's aliases in the backup, by version; the stage `Production` counts as `champion` if there is none."""
        rows = list(self.staging.rows("registered_model_aliases", "name = ?", name))
        aliases = {str(row["alias"]): int(row["version"]) for row in rows}
        for version in production_champions(self.versions(name), rows).values():  # One, or none.
            aliases[CHAMPION] = version
        return aliases

    def run_needs_update(self, found: ServerEntity | None, row: Record) -> bool:
        """Whether a run is to be filled: it is new, its import was interrupted, or it is overwritten."""
        if found is None or not found.is_complete or self.policy.overwrite:
            return True
        return self._deletion_is_pending(found, row) or found.id in self.state.starter.get("runs", ())

    def logged_model_needs_update(self, found: ServerEntity | None) -> bool:
        """Whether a logged model is to be filled."""
        if found is None or not found.is_complete or self.policy.overwrite:
            return True
        return found.id in self.state.starter.get("models", ())

    def receives(self, experiment: Record) -> bool:
        """Whether a run or logged model of an experiment is to be filled, for which it has to be active."""
        where = "experiment_id = ?", experiment["experiment_id"]
        runs = self.staging.rows("runs", *where)
        models = (row for row in self.logged_models() if row["experiment_id"] == experiment["experiment_id"])
        return any(self.run_needs_update(self.state.runs.get(row["run_uuid"]), row) for row in runs) or any(
            self.logged_model_needs_update(self.state.models.get(row["model_id"])) for row in models
        )

    def is_revived(self, found: ServerEntity, row: Record) -> bool:
        """Whether an experiment that is deleted here is active afterwards, as something comes into it."""
        return found.deleted and row["lifecycle_stage"] != "deleted" and self.receives(row)

    def experiment_needs_update(self, found: ServerEntity, row: Record) -> bool:
        """Whether an experiment that exists changes."""
        return self.policy.overwrite or self._deletion_is_pending(found, row) or self.is_revived(found, row)

    def experiment_needs_deletion(self, found: ServerEntity, row: Record) -> bool:
        """Whether an experiment is to be deleted at the end of the import.

        It is if the backup has it as deleted, and it was deleted here too and only restored to be filled.
        """
        if self.policy.overwrite:
            return bool(row["lifecycle_stage"] == "deleted")
        both = found.deleted and row["lifecycle_stage"] == "deleted"
        return both or self._deletion_is_pending(found, row)

    def version_needs_update(self, name: str, row: Record) -> bool:
        """Whether a version that exists changes."""
        return self.policy.overwrite or self.stage_needs_update(name, row)

    def stage_needs_update(self, name: str, row: Record) -> bool:
        """Whether a version that exists gets the backup's stage: its import was interrupted, or it is overwritten."""
        number = self.state.versions.get((name, row["version"]))
        if self.policy.overwrite:
            return self.state.stages.get((name, number or 0), NO_STAGE) != stage_of(row)
        return (name, number) in self.state.imported_without_stage and stage_of(row) != NO_STAGE

    def make_plan(self) -> ImportPlan:
        """Count what is new, what changes and what exists."""
        plan = ImportPlan("portable")
        self._plan_tracking(plan)
        for row in self.staging.rows("registered_models"):
            self._plan_versions(plan, row["name"])
            self._plan_aliases(plan, row["name"])
        return plan

    def _plan_tracking(self, plan: ImportPlan) -> None:
        for row in self.staging.rows("experiments"):
            found = self.state.experiments.get(row["experiment_id"])
            changes = found is not None and self.experiment_needs_update(found, row)
            plan.count("experiments", is_new=found is None, changes=changes)
            if (
                found is not None
                and found.deleted
                and row["lifecycle_stage"] != "deleted"
                and not self.policy.overwrite
            ):
                self._note_deleted_experiment(plan, row, is_revived=changes)
        for row in self.staging.rows("runs"):
            run = self.state.runs.get(row["run_uuid"])
            plan.count("runs", is_new=run is None, changes=self.run_needs_update(run, row))
        if not self.policy.overwrite:
            self._note_deleted_runs(plan)
        for logged in self.logged_models():
            model = self.state.models.get(logged["model_id"])
            plan.count("logged models", is_new=model is None, changes=self.logged_model_needs_update(model))

    def _note_deleted_experiment(self, plan: ImportPlan, row: Record, *, is_revived: bool) -> None:
        name = self.policy.prefixed(row["name"])
        what = "restored for what comes into it, with its runs" if is_revived else "--overwrite restores it"
        plan.notes.append(f"experiment {name} is deleted here: {what}")

    def _note_deleted_runs(self, plan: ImportPlan) -> None:
        revived = {
            row["experiment_id"]
            for row in self.staging.rows("experiments")
            if (found := self.state.experiments.get(row["experiment_id"])) and self.is_revived(found, row)
        }
        active = self.staging.rows("runs", "lifecycle_stage IS NOT 'deleted'")
        there = [self.state.runs.get(row["run_uuid"]) for row in active if row["experiment_id"] not in revived]
        if deleted := sum(1 for run in there if run is not None and run.deleted and run.is_complete):
            plan.notes.append(f"{deleted} runs of the backup are deleted here: --overwrite restores them")

    def _plan_versions(self, plan: ImportPlan, name: str) -> None:
        here = self.policy.prefixed(name)
        plan.count("registered models", is_new=here not in self.state.numbers, changes=self.policy.overwrite)
        last = max(self.state.numbers.get(here, ()), default=0)
        for version in self.versions(name):
            is_new = (here, version["version"]) not in self.state.versions
            plan.count("versions", is_new=is_new, changes=self.version_needs_update(here, version))
            if is_new and version["version"] <= last:
                plan.notes.append(f"model {here}: version {version['version']} gets the next free number")

    def _plan_aliases(self, plan: ImportPlan, name: str) -> None:
        here = self.policy.prefixed(name)
        for alias, version in self.aliases(name).items():
            now = self.state.aliases.get(here, {}).get(alias)
            other = now is not None and now != self.state.versions.get((here, version))
            plan.count("aliases", is_new=now is None, changes=other and self.policy.overwrite)
            if other and not self.policy.overwrite:
                plan.notes.append(f"model {here}: its alias {alias} stays at version {now}")

    def _deletion_is_pending(self, found: ServerEntity, row: Record) -> bool:
        """Whether an interrupted import created this and has not yet deleted it, as the backup has it deleted."""
        created_by_import = found.digest is not None and not found.has_original_id
        return created_by_import and row["lifecycle_stage"] == "deleted" and not found.deleted
