"""Folders of artifacts: of runs, logged models, traces, and of versions whose files are in none of these."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal
from urllib.parse import quote

from handful_backup.selection import Rows, SelectedItems, only
from handful_backup.tables import DEFAULT_WORKSPACE, Record, is_deleted_version

FolderKind = Literal["runs", "models", "traces", "versions"]
TRACE_LOCATION = "mlflow.artifactLocation"

_COLUMNS: dict[str, tuple[FolderKind, str, str]] = {
    "runs": ("runs", "run_uuid", "artifact_uri"),
    "logged_models": ("models", "model_id", "artifact_location"),
}
"""By table: the kind of its folders, the column of their ids, that of their URIs."""


@dataclass(frozen=True, slots=True)
class ArtifactFolder:
    """The artifacts of one run, logged model, trace or version."""

    kind: FolderKind
    id: str
    uri: str
    settled: bool = True
    """Whether its files change no more: nothing is logged to it any longer."""


class ArtifactFolders:
    """The artifact folders that rows name.

    A version has a folder of its own only where its files are not in that of a run or logged model.
    """

    def __init__(self) -> None:
        self._found: dict[tuple[str, str], ArtifactFolder] = {}
        self._uris: set[str] = set()
        self._versions: list[ArtifactFolder] = []
        self._experiment_roots: dict[str, str] = {}

    def __iter__(self) -> Iterator[ArtifactFolder]:
        yield from self._found.values()
        yield from (folder for folder in self._versions if not self._contains(folder.uri))

    @classmethod
    def of(cls, source: Rows, selected: SelectedItems | None = None) -> ArtifactFolders:
        """The folders that the rows of a server or a backup name.

        Args:
            source: has the rows.
            selected: what of them is wanted; None for all.
        """
        folders = cls()
        for table in ("experiments", *_COLUMNS, "trace_tags", "model_versions"):
            for row in only(source.rows(table), table, selected):
                folders._add_row(table, row)
        return folders

    def uris(self) -> dict[tuple[str, str], str]:
        """The folders' URIs by kind and id."""
        return {(folder.kind, folder.id): folder.uri for folder in self}

    def root(self, folder: ArtifactFolder) -> str:
        """The nearest URI above a folder that exists on the machine with the artifacts.

        The folder itself need not: MLflow creates it when something is logged to it.
        """
        found = (self._experiment_roots[uri] for uri in _with_parents(folder.uri) if uri in self._experiment_roots)
        return next(found, folder.uri)

    def _add_row(self, table: str, row: Record) -> None:
        if table == "experiments":
            location = (row["artifact_location"] or "").rstrip("/")
            self._experiment_roots[location] = experiment_root(location, row["experiment_id"])
        elif table in _COLUMNS:
            kind, key, column = _COLUMNS[table]
            if row[column]:
                # Runs have words for their state, logged models numbers: 1 is pending.
                settled = row.get("status") not in {"RUNNING", "SCHEDULED", 1}
                self._add(ArtifactFolder(kind, row[key], row[column].rstrip("/"), settled))
        elif table == "trace_tags" and row["key"] == TRACE_LOCATION and row["value"]:
            self._add(ArtifactFolder("traces", row["request_id"], row["value"].rstrip("/")))
        elif table == "model_versions":
            self._add_version(row)

    def _add_version(self, row: Record) -> None:
        uri = _version_location(row)
        if "/" in uri:  # The source of a prompt is no place, but a word.
            self._versions.append(ArtifactFolder("versions", version_id(row), uri))

    def _contains(self, uri: str) -> bool:
        """Whether a URI is in the folder of a run, logged model or trace."""
        return any(part in self._uris for part in _with_parents(uri))

    def _add(self, folder: ArtifactFolder) -> None:
        self._found[folder.kind, folder.id] = folder
        self._uris.add(folder.uri)


def experiment_root(location: str, number: object) -> str:
    """The URI under which MLflow creates an experiment's folder: its parent, where MLflow named it by the number."""
    return location.rstrip("/").removesuffix(f"/{number}")


def version_id(row: Record | dict[str, Any]) -> str:
    """A version's id among folders: model@number, after the workspace where it is not the default one."""
    workspace = row.get("workspace") or DEFAULT_WORKSPACE
    prefix = "" if workspace == DEFAULT_WORKSPACE else f"{quote(workspace, safe='')}@"
    return f"{prefix}{quote(row['name'], safe='')}@{row['version']}"


def _version_location(row: Record) -> str:
    """The URI of a version's files; empty if it has none of its own."""
    if is_deleted_version(row):
        return ""
    uri = str(row.get("storage_location") or row["source"] or "").rstrip("/")
    return "" if uri.startswith("models:") else uri


def _with_parents(uri: str) -> Iterator[str]:
    """A URI, its parent, and so on."""
    parts = uri.split("/")
    return ("/".join(parts[:end]) for end in range(len(parts), 0, -1))
