"""What holds artifacts: runs, logged models, traces, and versions whose files lie in none of these."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal
from urllib.parse import quote

from handful_backup.tables import DEFAULT_WORKSPACE, DELETED_VERSION, Record

HolderKind = Literal["runs", "models", "traces", "versions"]
TRACE_LOCATION = "mlflow.artifactLocation"

_COLUMNS = {
    "runs": ("runs", "run_uuid", "artifact_uri"),
    "logged_models": ("models", "model_id", "artifact_location"),
}


@dataclass(frozen=True, slots=True)
class Holder:
    """A folder of artifacts."""

    kind: HolderKind
    id: str
    uri: str
    settled: bool = True
    """Whether its files can be taken to change no more."""


class Holders:
    """The holders that rows name. A version's files are its own only where no run or model has them."""

    def __init__(self) -> None:
        self._found: dict[tuple[str, str], Holder] = {}
        self._uris: set[str] = set()
        self._versions: list[Holder] = []
        self._roots: dict[str, str] = {}

    def __iter__(self) -> Iterator[Holder]:
        yield from self._found.values()
        yield from (holder for holder in self._versions if not self._covers(holder.uri))

    @staticmethod
    def wants(table: str) -> bool:
        """Whether a table's rows name holders."""
        return table in {"experiments", *_COLUMNS, "trace_tags", "model_versions"}

    def root(self, holder: Holder) -> str:
        """The URI of what is there if a holder's files can be: it has no folder before something is logged to it."""
        found = (self._roots[part] for part in _upwards(holder.uri) if part in self._roots)
        return next(found, holder.uri)

    def see(self, table: str, row: Record) -> None:
        """Take up what a row names."""
        if table == "experiments":
            location = (row["artifact_location"] or "").rstrip("/")
            self._roots[location] = experiment_root(location, row["experiment_id"])
        elif table in _COLUMNS:
            kind, key, column = _COLUMNS[table]
            if row[column]:
                settled = row.get("status") not in {"RUNNING", "SCHEDULED", 1}
                self._add(Holder(kind, row[key], row[column].rstrip("/"), settled))  # type: ignore[arg-type]
        elif table == "trace_tags" and row["key"] == TRACE_LOCATION and row["value"]:
            self._add(Holder("traces", row["request_id"], row["value"].rstrip("/")))
        elif table == "model_versions":
            self._see_version(row)

    def _see_version(self, row: Record) -> None:
        uri = version_location(row)
        if "/" in uri:  # Prompts and the like name no place.
            self._versions.append(Holder("versions", version_id(row), uri))

    def _covers(self, uri: str) -> bool:
        """Whether a URI lies in a holder that was seen."""
        return any(part in self._uris for part in _upwards(uri))

    def _add(self, holder: Holder) -> None:
        self._found[holder.kind, holder.id] = holder
        self._uris.add(holder.uri)


def experiment_root(location: str, number: object) -> str:
    """The URI of what is there if an experiment's files can be: MLflow's own root, where the experiment lies in it."""
    return location.rstrip("/").removesuffix(f"/{number}")


def _upwards(uri: str) -> Iterator[str]:
    """A URI and those that it lies in."""
    parts = uri.split("/")
    return ("/".join(parts[:end]) for end in range(len(parts), 0, -1))


def version_location(row: Record) -> str:
    """Where a version's files lie; empty if nowhere."""
    if row["current_stage"] == DELETED_VERSION:
        return ""
    uri = str(row.get("storage_location") or row["source"] or "").rstrip("/")
    return "" if uri.startswith("models:") else uri


def version_id(row: Record | dict[str, Any]) -> str:
    """A version's name among holders."""
    workspace = row.get("workspace") or DEFAULT_WORKSPACE
    place = "" if workspace == DEFAULT_WORKSPACE else f"{quote(workspace, safe='')}@"
    return f"{place}{quote(row['name'], safe='')}@{row['version']}"
