"""From a backup's ids and artifact URIs to the database's."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

from handful_backup.archive import BackupReader
from handful_backup.archive.names import parse_artifact
from handful_backup.artifact_folders import TRACE_LOCATION, ArtifactFolder, ArtifactFolders, version_id
from handful_backup.exact.diff import DatabaseDiff
from handful_backup.tables import INPUTS, owner
from handful_core.registry.artifacts import SCHEME

_URI_COLUMNS = {
    "experiments": ("artifact_location",),
    "runs": ("artifact_uri",),
    "logged_models": ("artifact_location",),
    "model_versions": ("source", "storage_location"),
}


class Translation:
    """Translates a backup's rows for the database that they are written to.

    Artifacts that were not stored behind the MLflow server are from now on: a folder or bucket of another machine
    cannot be reached from here.

    Attributes:
        folders: the backup's artifact folders, by kind and id.
    """

    def __init__(self, backup: BackupReader, diff: DatabaseDiff) -> None:
        self._diff = diff
        self._datasets: dict[str, str] = {}
        self.folders: dict[tuple[str, str], ArtifactFolder] = {}
        self._moved: dict[str, str] = {}
        self._find_folders(backup)

    def keep_datasets(self, existing: dict[tuple[int, str, str], str], backup: BackupReader) -> None:
        """Let datasets that exist keep their ids: rows that refer to them use those.

        Args:
            existing: ids by experiment, name and digest.
            backup: has the datasets.
        """
        for row in backup.rows("datasets"):
            experiment = self._diff.experiments.get(row["experiment_id"], row["experiment_id"])
            key = experiment, row["name"], row["digest"]
            if key in existing:
                self._datasets[row["dataset_uuid"]] = existing[key]

    def row(self, table: str, row: dict[str, Any]) -> dict[str, Any]:
        """A row as the database has it."""
        here = dict(row)
        if table in {"model_versions", "model_version_tags", "registered_model_aliases"}:
            here["version"] = self._diff.versions.get(owner(table, row), row["version"])
        for column in _URI_COLUMNS.get(table, ()):
            here[column] = self.uri(row.get(column))
        if table == "model_versions" and (folder := self.folders.get(("versions", version_id(row)))):
            here["storage_location"] = self.uri(folder.uri)
        if row.get("experiment_id") is not None:
            self._renumber(table, here)
        if table == INPUTS and row["source_type"] == "DATASET":
            here["source_id"] = self._datasets.get(row["source_id"], row["source_id"])
        if row.get("dataset_uuid"):
            here["dataset_uuid"] = self._datasets.get(row["dataset_uuid"], row["dataset_uuid"])
        if table == "trace_tags" and row["key"] == TRACE_LOCATION:
            here["value"] = self.uri(row["value"])
        return here

    def uri(self, uri: str | None) -> str | None:
        """The new URI of artifacts: that of the longest part which was moved, and the rest as it was."""
        if not uri:
            return uri
        parts = uri.split("/")
        for end in range(len(parts), 0, -1):
            if moved := self._moved.get("/".join(parts[:end])):
                return "/".join([moved, *parts[end:]])
        return uri

    def _renumber(self, table: str, here: dict[str, Any]) -> None:
        number = here["experiment_id"]
        here["experiment_id"] = self._diff.experiments.get(number, number)
        if table == "experiments" and here["experiment_id"] != number:
            # New runs go there; under the old number, they would be among those of another experiment.
            here["artifact_location"] = f"{SCHEME}:/{here['experiment_id']}"

    def _find_folders(self, backup: BackupReader) -> None:
        for row in backup.rows("experiments"):
            self._move(row["artifact_location"], f"{SCHEME}:/{row['experiment_id']}")
        carried = {parse_artifact(member)[:2] for member in backup.artifacts}
        for folder in ArtifactFolders.of(backup):
            # The URI of a version whose files could not be exported is kept as it is: it may be right elsewhere.
            if folder.kind == "versions" and (folder.kind, folder.id) not in carried:
                continue
            self.folders[folder.kind, folder.id] = folder
            if self.uri(folder.uri) == folder.uri:
                self._move(folder.uri, f"{SCHEME}:/restored/{folder.kind}/{folder.id}/artifacts")

    def _move(self, uri: str | None, new: str) -> None:
        if uri and urlsplit(uri).scheme != SCHEME:
            self._moved[uri.rstrip("/")] = new
