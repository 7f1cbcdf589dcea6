"""From a backup's ids and places to the database's."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

from handful_backup.archive import BackupReader
from handful_backup.archive.names import parse_artifact
from handful_backup.artifacts.places import PROXIED
from handful_backup.exact.decision import Decision
from handful_backup.holders import TRACE_LOCATION, Holder, Holders, version_id
from handful_backup.tables import INPUTS, owner

_PLACES = {
    "experiments": ("artifact_location",),
    "runs": ("artifact_uri",),
    "logged_models": ("artifact_location",),
    "model_versions": ("source", "storage_location"),
}


class Translation:
    """Says what a row is called here.

    Artifacts that did not lie behind the server do from now on: a folder or bucket of another machine is not here.
    """

    def __init__(self, backup: BackupReader, decision: Decision) -> None:
        self._decision = decision
        self._datasets: dict[str, str] = {}
        self.holders: dict[tuple[str, str], Holder] = {}
        self._moved: dict[str, str] = {}
        self._find(backup)

    def use_datasets(self, known: dict[tuple[int, str, str], str], backup: BackupReader) -> None:
        """Datasets that are there keep their ids: what names them must use those."""
        for row in backup.rows("datasets"):
            key = (
                self._decision.experiments.get(row["experiment_id"], row["experiment_id"]),
                row["name"],
                row["digest"],
            )
            if key in known:
                self._datasets[row["dataset_uuid"]] = known[key]

    def row(self, table: str, row: dict[str, Any]) -> dict[str, Any]:
        """The row as it is written here."""
        here = dict(row)
        if table in {"model_versions", "model_version_tags", "registered_model_aliases"}:
            here["version"] = self._decision.versions.get(owner(table, row), row["version"])
        for column in _PLACES.get(table, ()):
            here[column] = self.place(row.get(column))
        if table == "model_versions" and ("versions", version_id(row)) in self.holders:
            self._own_place(here, version_id(row))
        if row.get("experiment_id") is not None:
            self._renumber(table, here)
        if table == INPUTS and row["source_type"] == "DATASET":
            here["source_id"] = self._datasets.get(row["source_id"], row["source_id"])
        if row.get("dataset_uuid"):
            here["dataset_uuid"] = self._datasets.get(row["dataset_uuid"], row["dataset_uuid"])
        if table == "trace_tags" and row["key"] == TRACE_LOCATION:
            here["value"] = self.place(row["value"])
        return here

    def place(self, uri: str | None) -> str | None:
        """Where artifacts of a place in the backup are here."""
        if not uri:
            return uri
        parts = uri.split("/")
        for end in range(len(parts), 0, -1):
            if moved := self._moved.get("/".join(parts[:end])):
                return "/".join([moved, *parts[end:]])
        return uri

    def _renumber(self, table: str, here: dict[str, Any]) -> None:
        number = here["experiment_id"]
        here["experiment_id"] = self._decision.experiments.get(number, number)
        if table == "experiments" and here["experiment_id"] != number:
            here["artifact_location"] = f"{PROXIED}:/{here['experiment_id']}"

    def _own_place(self, here: dict[str, Any], name: str) -> None:
        here["storage_location"] = self.place(self.holders["versions", name].uri)

    def _find(self, backup: BackupReader) -> None:
        holders = Holders()
        for table in ("experiments", "runs", "logged_models", "trace_tags", "model_versions"):
            for row in backup.rows(table):
                if table == "experiments":
                    self._move(row["artifact_location"], f"{PROXIED}:/{row['experiment_id']}")
                elif holders.wants(table):
                    holders.see(table, row)
        held = {parse_artifact(member)[:2] for member in backup.artifacts}
        for holder in holders:
            if holder.kind == "versions" and (holder.kind, holder.id) not in held:
                continue
            self.holders[holder.kind, holder.id] = holder
            if self.place(holder.uri) == holder.uri:
                self._move(holder.uri, f"{PROXIED}:/restored/{holder.kind}/{holder.id}/artifacts")

    def _move(self, uri: str | None, place: str) -> None:
        if uri and urlsplit(uri).scheme != PROXIED:
            self._moved[uri.rstrip("/")] = place
