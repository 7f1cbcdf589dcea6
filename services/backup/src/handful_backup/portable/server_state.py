"""What a server has of a backup already, recognised by original ids or by the tags of an earlier import."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from handful_backup.mlflow_tags import (
    IMPORTED,
    PLACEHOLDER,
    SOURCE_EXPERIMENT,
    SOURCE_MODEL,
    SOURCE_RUN,
)
from handful_backup.plan import ConflictPolicy
from handful_backup.portable.mlflow_api import EXPERIMENTS_PER_SEARCH, RUNS_PER_PAGE, Json
from handful_backup.portable.registry_pages import versions_of
from handful_backup.portable.staging import StagingDatabase
from handful_backup.tables import NO_STAGE, Kind, Owner, Record
from handful_core.errors import NotFoundError
from handful_core.registry.records import SOURCE_VERSION
from handful_core.registry.rest import API, Rest

_IDS_PER_SEARCH = 50
_MODELS_PER_PAGE = 50


@dataclass(slots=True)
class ServerEntity:
    """An experiment, run or logged model on the server.

    Attributes:
        id: its own id there.
        digest: of the backup's run that it holds; None if its import did not finish.
        has_original_id: its id is the backup's: it is the very thing, or was restored from the database.
        uri: where its artifacts are.
        deleted: MLflow keeps it and hides it.
    """

    id: str
    digest: str | None = None
    has_original_id: bool = False
    uri: str = ""
    deleted: bool = False

    @property
    def is_complete(self) -> bool:
        """Whether all of it is there."""
        return self.has_original_id or self.digest is not None


@dataclass(slots=True)
class ServerState:
    """What the server has of a backup, by the backup's ids."""

    experiments: dict[int, ServerEntity] = field(default_factory=dict)
    runs: dict[str, ServerEntity] = field(default_factory=dict)
    models: dict[str, ServerEntity] = field(default_factory=dict)
    versions: dict[tuple[str, int], int] = field(default_factory=dict)
    """Numbers on the server, by the model's name there and the version's number in the backup."""
    numbers: dict[str, list[int]] = field(default_factory=dict)
    """All version numbers that the server has, by the model's name."""
    aliases: dict[str, dict[str, int]] = field(default_factory=dict)
    """Version numbers by alias, by the model's name."""
    stages: dict[tuple[str, int], str] = field(default_factory=dict)
    """Stages, by name and number, of the versions that have one."""
    imported_without_stage: set[tuple[str, int]] = field(default_factory=set)
    """Versions that an import created and that have no stage."""
    placeholders: list[tuple[str, int]] = field(default_factory=list)
    """Versions that an interrupted import created to use up a number and did not come to delete."""
    starter: Mapping[Kind, set[Owner]] = field(default_factory=dict)
    """What the starter brought, by the server's ids, where the backup takes its place."""


@dataclass(slots=True)
class Origins:
    """Where the backup's own server had things from: the tags of an import there, such as that of the starter.

    What was brought to both servers from one place is the same thing, and so is what comes back to where it was made.

    Attributes:
        runs: the backup's ids by the ids that they had before.
        models: those of logged models.
    """

    runs: dict[str, str] = field(default_factory=dict)
    models: dict[str, str] = field(default_factory=dict)
    versions: dict[tuple[str, int], str] = field(default_factory=dict)
    """What told versions apart there, by name and number."""

    @classmethod
    def of(cls, staging: StagingDatabase) -> Origins:
        """The origins of a backup's things."""
        runs = staging.rows("tags", "key = ?", SOURCE_RUN)
        models = staging.rows("logged_model_tags", "tag_key = ?", SOURCE_MODEL)
        versions = staging.rows("model_version_tags", "key = ?", SOURCE_VERSION)
        return cls(
            {row["value"]: row["run_uuid"] for row in runs},
            {row["tag_value"]: row["model_id"] for row in models},
            {(row["name"], row["version"]): row["value"] for row in versions},
        )


class ServerStateReader:
    """Looks for a backup's things on a server.

    Args:
        rest: the server.
        policy: under a prefix, what has a name or tag without it is another thing.
        origins: ids under which another import brought things to the backup's own server.
    """

    def __init__(self, rest: Rest, policy: ConflictPolicy, origins: Origins) -> None:
        self._rest = rest
        self._policy = policy
        self._origins = origins
        self._all_experiments: list[str] = []
        self.state = ServerState()

    def find_experiments(self, rows: Iterable[Record]) -> None:
        """Find experiments by name."""
        found = list(self._rest.search(f"{API}/experiments/search", "experiments", {"view_type": "ALL"}))
        self._all_experiments = [experiment["experiment_id"] for experiment in found]
        by_name = {experiment["name"]: experiment for experiment in found}
        for row in rows:
            if experiment := by_name.get(self._policy.prefixed(row["name"])):
                self.state.experiments[row["experiment_id"]] = ServerEntity(
                    experiment["experiment_id"],
                    digest=_tags(experiment).get(SOURCE_EXPERIMENT),
                    uri=experiment.get("artifact_location", ""),
                    deleted=experiment["lifecycle_stage"] == "deleted",
                )

    def find_runs(self, ids: Sequence[str]) -> None:
        """Find runs by the tag of an earlier import, and by id."""
        if not ids:
            return
        by_tag = {self._policy.prefixed(run): run for run in ids}
        of_origin = (
            {} if self._policy.prefix else {old: run for old, run in self._origins.runs.items() if run in by_tag}
        )
        found = self._search_runs(f"tags.`{SOURCE_RUN}` LIKE '%'")
        for run in found:
            tag = _tags(run["data"])[SOURCE_RUN]
            if (source := by_tag.get(tag)) is not None:
                self._add_run(source, run, has_original_id=False)
            elif (source := of_origin.get(tag)) is not None and source not in self.state.runs:
                self._add_run(source, run, has_original_id=True)
        if self._policy.prefix:
            return
        by_id = {**of_origin, **{run: run for run in ids}}
        wanted = list(by_id)
        for start in range(0, len(wanted), _IDS_PER_SEARCH):
            some = ", ".join(f"'{run}'" for run in wanted[start : start + _IDS_PER_SEARCH])
            for run in self._search_runs(f"attributes.run_id IN ({some})"):
                source = by_id[run["info"]["run_id"]]
                if source == run["info"]["run_id"] or source not in self.state.runs:
                    self._add_run(source, run, has_original_id=True)

    def find_logged_models(self, ids: Iterable[str]) -> None:
        """Find logged models by id, and by the tag of an earlier import."""
        by_tag = {self._policy.prefixed(model): model for model in ids}
        if not by_tag:
            return
        for experiments in self._experiment_batches():
            body = {"experiment_ids": experiments}
            for model in self._rest.search(f"{API}/logged-models/search", "models", body, _MODELS_PER_PAGE):
                self._add_logged_model(model["info"], by_tag)

    def find_versions(self, name: str, rows: Iterable[Record]) -> None:
        """Find a registered model's versions by the tag of an earlier import, or by number and time of creation.

        Args:
            name: the model's, in the backup.
            rows: its versions in the backup.
        """
        here = self._policy.prefixed(name)
        versions = {int(version["version"]): version for version in versions_of(self._rest, here)}
        self._add_numbers(here, versions)
        by_tag = {_tags(v).get(SOURCE_VERSION): number for number, v in versions.items() if PLACEHOLDER not in _tags(v)}
        made_here = {version_identity(_as_row(v)): number for number, v in versions.items()}
        for row in rows:
            number = row["version"]
            same = versions.get(number)
            origin = "" if self._policy.prefix else self._origins.versions.get((name, number), "")
            if version_identity(row) in by_tag:
                self.state.versions[here, number] = by_tag[version_identity(row)]
            elif origin in by_tag or origin in made_here:
                self.state.versions[here, number] = by_tag.get(origin) or made_here[origin]
            elif same and not self._policy.prefix and int(same.get("creation_timestamp") or 0) == row["creation_time"]:
                self.state.versions[here, number] = number
        self._add_aliases(here)

    def _add_numbers(self, name: str, versions: Mapping[int, Json]) -> None:
        self.state.numbers[name] = sorted(versions)
        for number, version in versions.items():
            stage = version.get("current_stage")
            if stage and stage != NO_STAGE:
                self.state.stages[name, number] = stage
            elif SOURCE_VERSION in _tags(version):
                self.state.imported_without_stage.add((name, number))
            if PLACEHOLDER in _tags(version):
                self.state.placeholders.append((name, number))

    def _add_aliases(self, name: str) -> None:
        try:
            model = self._rest.get(f"{API}/registered-models/get", {"name": name})["registered_model"]
        except NotFoundError:
            self.state.numbers.pop(name)  # Where there is no such model, its versions' search answers nothing as well.
            return
        self.state.aliases[name] = {a["alias"]: int(a["version"]) for a in model.get("aliases", ())}

    def _search_runs(self, condition: str) -> Iterable[Json]:
        for experiments in self._experiment_batches():
            body = {"experiment_ids": experiments, "run_view_type": "ALL", "filter": condition}
            yield from self._rest.search(f"{API}/runs/search", "runs", body, RUNS_PER_PAGE)

    def _experiment_batches(self) -> Iterable[list[str]]:
        ids = self._all_experiments
        return (ids[start : start + EXPERIMENTS_PER_SEARCH] for start in range(0, len(ids), EXPERIMENTS_PER_SEARCH))

    def _add_run(self, source: str, run: Json, *, has_original_id: bool) -> None:
        info = run["info"]
        self.state.runs[source] = ServerEntity(
            info["run_id"],
            digest=_tags(run["data"]).get(IMPORTED),
            has_original_id=has_original_id,
            uri=info.get("artifact_uri", ""),
            deleted=info["lifecycle_stage"] == "deleted",
        )

    def _add_logged_model(self, info: Json, by_tag: Mapping[str, str]) -> None:
        has_original_id = info["model_id"] in by_tag and not self._policy.prefix
        source = info["model_id"] if has_original_id else by_tag.get(_tags(info).get(SOURCE_MODEL, ""))
        if source is None and not self._policy.prefix:
            names = (_tags(info).get(SOURCE_MODEL, ""), info["model_id"])
            origin = next((m for name in names if (m := self._origins.models.get(name)) in by_tag), None)
            has_original_id = origin is not None and origin not in self.state.models
            source = origin if has_original_id else None
        if source is not None:
            self.state.models[source] = ServerEntity(
                info["model_id"],
                digest=_tags(info).get(IMPORTED),
                has_original_id=has_original_id,
                uri=info.get("artifact_uri", ""),
            )


def version_identity(row: Record) -> str:
    """What tells a version from all others, on whatever server: the value of its tag `handful.source_version`."""
    return f"{row['name']}/{row['version']} {row['creation_time']}"


def _as_row(version: Json) -> Record:
    return {
        "name": version["name"],
        "version": int(version["version"]),
        "creation_time": int(version.get("creation_timestamp") or 0),
    }


def _tags(entity: Json) -> dict[str, str]:
    return {tag["key"]: tag.get("value", "") for tag in entity.get("tags", ())}
