"""What a server has of a backup already, by the ids of old or by the marks of an earlier import."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from handful_backup.portable.api import API, RUNS
from handful_backup.portable.marks import DONE, EXPERIMENT, FILLER, MODEL, RUN, VERSION
from handful_backup.portable.registry_pages import versions_of
from handful_backup.tables import DELETED_VERSION, Record
from handful_core.errors import NotFoundError
from handful_core.registry.rest import Rest

_IDS = 50
_EXPERIMENTS = 100


@dataclass(slots=True)
class Found:
    """A thing on the server.

    Attributes:
        id: its own id there.
        digest: of the backup's run that it holds; None if its import did not come to its end.
        native: it has the id of old: it is the thing itself, or was restored the exact way.
        uri: where its artifacts lie.
    """

    id: str
    digest: str | None = None
    native: bool = False
    uri: str = ""
    deleted: bool = False

    @property
    def whole(self) -> bool:
        """Whether all of it is there."""
        return self.native or self.digest is not None


@dataclass(slots=True)
class Known:
    """The server's things, by their ids in the backup."""

    experiments: dict[int, Found] = field(default_factory=dict)
    runs: dict[str, Found] = field(default_factory=dict)
    models: dict[str, Found] = field(default_factory=dict)
    versions: dict[tuple[str, int], int] = field(default_factory=dict)
    """Numbers on the server, by name there and number in the backup."""
    numbers: dict[str, list[int]] = field(default_factory=dict)
    """All numbers that the server has, by name."""
    aliases: dict[str, dict[str, int]] = field(default_factory=dict)
    stages: dict[tuple[str, int], str] = field(default_factory=dict)
    """Stages of versions that have one."""
    bare: set[tuple[str, int]] = field(default_factory=set)
    """Versions that an import made and that have no stage."""
    fillers: list[tuple[str, int]] = field(default_factory=list)
    """Versions that an import which was broken off would have deleted next."""


class Recognition:
    """Looks for a backup's things on a server.

    Args:
        rest: the server.
        prefix: of the names that things get; what has a name without it is another thing then.
    """

    def __init__(self, rest: Rest, prefix: str) -> None:
        self._rest = rest
        self._prefix = prefix
        self.known = Known()

    def experiments(self, rows: Iterable[Record]) -> None:
        """By name."""
        found = self._rest.search(f"{API}/experiments/search", "experiments", {"view_type": "ALL"})
        self._all = list(found)
        there = {e["name"]: e for e in self._all}
        for row in rows:
            if experiment := there.get(self._prefix + row["name"]):
                self.known.experiments[row["experiment_id"]] = Found(
                    experiment["experiment_id"],
                    digest=_tags(experiment).get(EXPERIMENT),
                    uri=experiment.get("artifact_location", ""),
                    deleted=experiment["lifecycle_stage"] == "deleted",
                )

    def runs(self, ids: Sequence[str]) -> None:
        """By id, and by the mark of an earlier import."""
        wanted = set(ids)
        for run in self._marked_runs(len(ids)):
            source = _tags(run["data"])[RUN]
            if source in self._marks(wanted):
                self._take_run(self._unmarked(source), run, native=False)
        if self._prefix:
            return
        for start in range(0, len(ids), _IDS):
            some = ", ".join(f"'{run}'" for run in ids[start : start + _IDS])
            for run in self._search_runs(f"attributes.run_id IN ({some})"):
                self._take_run(run["info"]["run_id"], run, native=True)

    def models(self, ids: Iterable[str]) -> None:
        """The same for logged models."""
        wanted = set(ids)
        if not wanted:
            return
        for experiments in self._experiment_ids():
            body = {"experiment_ids": experiments}
            for model in self._logged_models(body):
                self._take_model(model["info"], wanted)

    def mark(self, source: str) -> str:
        """The mark of a thing with this id: under a prefix, it is another thing than without."""
        return f"{self._prefix}{source}"

    def versions(self, name: str, rows: Iterable[Record]) -> None:
        """By the mark of an earlier import, or by number and time of creation."""
        here = self._prefix + name
        numbers = {int(version["version"]): version for version in versions_of(self._rest, here)}
        self.known.numbers[here] = sorted(numbers)
        self.known.fillers += [(here, number) for number, version in numbers.items() if FILLER in _tags(version)]
        marks = {_tags(v).get(VERSION): number for number, v in numbers.items() if FILLER not in _tags(v)}
        stages = {number: version.get("current_stage") for number, version in numbers.items()}
        self.known.stages |= {(here, number): stage for number, stage in stages.items() if stage and stage != "None"}
        self.known.bare |= {
            (here, number)
            for number, version in numbers.items()
            if VERSION in _tags(version) and (here, number) not in self.known.stages
        }
        for row in rows:
            number = row["version"]
            same = numbers.get(number)
            if version_mark(row) in marks:
                self.known.versions[here, number] = marks[version_mark(row)]
            elif same and not self._prefix and int(same.get("creation_timestamp") or 0) == row["creation_time"]:
                self.known.versions[here, number] = number
        self._aliases(here)

    def _aliases(self, name: str) -> None:
        try:
            model = self._rest.get(f"{API}/registered-models/get", {"name": name})["registered_model"]
        except NotFoundError:
            self.known.numbers.pop(name)
            return
        self.known.aliases[name] = {a["alias"]: int(a["version"]) for a in model.get("aliases", ())}

    def _marked_runs(self, count: int) -> Iterable[Mapping[str, Any]]:
        return self._search_runs(f"tags.`{RUN}` LIKE '%'") if count else ()

    def _marks(self, ids: set[str]) -> set[str]:
        return {self.mark(source) for source in ids} if self._prefix else ids

    def _unmarked(self, mark: str) -> str:
        return mark.removeprefix(self._prefix)

    def _search_runs(self, words: str) -> Iterable[Mapping[str, Any]]:
        for experiments in self._experiment_ids():
            body = {"experiment_ids": experiments, "run_view_type": "ALL", "filter": words}
            yield from self._rest.search(f"{API}/runs/search", "runs", body, RUNS)

    def _experiment_ids(self) -> Iterable[list[str]]:
        ids = [experiment["experiment_id"] for experiment in self._all]
        return (ids[start : start + _EXPERIMENTS] for start in range(0, len(ids), _EXPERIMENTS))

    def _logged_models(self, body: Mapping[str, Any]) -> Iterable[Mapping[str, Any]]:
        return self._rest.search(f"{API}/logged-models/search", "models", body, 50)

    def _take_run(self, source: str, run: Mapping[str, Any], *, native: bool) -> None:
        info = run["info"]
        self.known.runs[source] = Found(
            info["run_id"],
            digest=_tags(run["data"]).get(DONE),
            native=native,
            uri=info.get("artifact_uri", ""),
            deleted=info["lifecycle_stage"] == "deleted",
        )

    def _take_model(self, info: Mapping[str, Any], wanted: set[str]) -> None:
        mark = _tags(info).get(MODEL)
        native = info["model_id"] in wanted and not self._prefix
        source = info["model_id"] if native else self._unmarked(mark or "")
        if source in wanted and (native or mark == self.mark(source)):
            self.known.models[source] = Found(
                info["model_id"], digest=_tags(info).get(DONE), native=native, uri=info.get("artifact_uri", "")
            )


def version_mark(row: Record) -> str:
    """What tells a version from all others, on whatever server."""
    return f"{row['name']}/{row['version']} {row['creation_time']}"


def is_deleted(row: Record) -> bool:
    """Whether a version's row only keeps its number."""
    return bool(row["current_stage"] == DELETED_VERSION)


def _tags(thing: Mapping[str, Any]) -> dict[str, str]:
    return {tag["key"]: tag.get("value", "") for tag in thing.get("tags", ())}
