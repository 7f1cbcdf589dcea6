"""Making registered models and their versions over REST."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from handful_backup.holders import version_id
from handful_backup.portable.api import API
from handful_backup.portable.marks import FILLER, OURS, TIMES, VERSION
from handful_backup.portable.models import LoggedModels
from handful_backup.portable.recognition import Recognition, is_deleted, version_mark
from handful_backup.portable.scratch import Scratch
from handful_backup.restoring import Restoring
from handful_backup.tables import Record
from handful_core.registry.rest import Rest

_MODEL = "models:/m-"
NO_STAGE = "None"
_AS_FILLER = {"key": FILLER, "value": "true"}


class Versions:
    """Makes the versions of a backup on a server, in the order of their numbers and with the gaps between them."""

    def __init__(
        self,
        rest: Rest,
        scratch: Scratch,
        recognition: Recognition,
        models: LoggedModels,
        restoring: Restoring,
        prefix: str,
    ) -> None:
        self._rest = rest
        self._scratch = scratch
        self._known = recognition.known
        self._models = models
        self._folders = restoring.by_folder()
        self._prefix = prefix
        self._uris = {row["run_uuid"]: (row["artifact_uri"] or "").rstrip("/") for row in scratch.rows("runs")}

    def make_model(self, row: Record) -> None:
        """Make a registered model."""
        tags = self._scratch.rows("registered_model_tags", "name = ?", row["name"])
        body = {
            "name": self._prefix + row["name"],
            "description": row["description"] or "",
            "tags": [{"key": tag["key"], "value": tag["value"] or ""} for tag in tags],
        }
        self._rest.post(f"{API}/registered-models/create", body)

    def update_model(self, row: Record) -> None:
        """Give a registered model its description and tags of old."""
        name = self._prefix + row["name"]
        body = {"name": name, "description": row["description"] or ""}
        self._rest.send("PATCH", f"{API}/registered-models/update", body)
        for tag in self._scratch.rows("registered_model_tags", "name = ?", row["name"]):
            body = {"name": name, "key": tag["key"], "value": tag["value"] or ""}
            self._rest.send("POST", f"{API}/registered-models/set-tag", body)

    def update(self, row: Record, number: int) -> None:
        """Give a version its description and tags of old."""
        version = {"name": self._prefix + row["name"], "version": str(number)}
        body = {**version, "description": row["description"] or ""}
        self._rest.send("PATCH", f"{API}/model-versions/update", body)
        for key, value in self._tags(row).items():
            self._rest.send("POST", f"{API}/model-versions/set-tag", {**version, "key": key, "value": value})

    def make(self, row: Record, last: int) -> int:
        """Make a version.

        Args:
            row: the version's.
            last: the highest number that the model is seen to have on the server; 0 for none.

        Returns:
            Its number on the server: its own, unless that is taken.
        """
        name = self._prefix + row["name"]
        body = self._body(name, row)
        while last + 1 < row["version"]:
            last = self._create({**body, "tags": [*body["tags"], _AS_FILLER]})
            if last >= row["version"]:  # Deleted versions have used up numbers, and are not shown: it is no filler.
                self._adopt(name, last)
                break
            self.remove(name, last)
        else:
            last = self._create(body)
        if stage_of(row) != NO_STAGE:
            self.set_stage(name, last, row)
        return last

    def set_stage(self, name: str, number: int, row: Record) -> None:
        """Give a version its stage of old."""
        stage = {
            "name": name,
            "version": str(number),
            "stage": stage_of(row),
            "archive_existing_versions": False,
        }
        self._rest.send("POST", f"{API}/model-versions/transition-stage", stage)

    def point(self, name: str, alias: str, version: int) -> None:
        """Point an alias at a version."""
        body = {"name": name, "alias": alias, "version": str(version)}
        self._rest.send("POST", f"{API}/registered-models/alias", body)

    def remove(self, name: str, version: int) -> None:
        """Delete a version."""
        self._rest.send("DELETE", f"{API}/model-versions/delete", {"name": name, "version": str(version)})

    def _body(self, name: str, row: Record) -> dict[str, Any]:
        times = {"created": row["creation_time"], "updated": row["last_updated_time"], "user": row["user_id"]}
        marks = {VERSION: version_mark(row), TIMES: json.dumps(times)}
        return {
            "name": name,
            "description": row["description"] or "",
            "run_link": row["run_link"] or "",
            "tags": [{"key": key, "value": value} for key, value in {**self._tags(row), **marks}.items()],
            **self._origin(row),
        }

    def _create(self, body: dict[str, Any]) -> int:
        return int(self._rest.post(f"{API}/model-versions/create", body)["model_version"]["version"])

    def _tags(self, row: Record) -> dict[str, str]:
        tags = self._scratch.rows("model_version_tags", "name = ? AND version = ?", row["name"], row["version"])
        return {tag["key"]: tag["value"] or "" for tag in tags if tag["key"] not in OURS}

    def _origin(self, row: Record) -> dict[str, str]:
        """Where a version's files are on this server, and its run."""
        run = self._known.runs.get(row["run_id"] or "")
        of_run = {"run_id": run.id} if run else {}
        source = str(row["source"] or "")
        if source.startswith(_MODEL) and (model := self._known.models.get(source.removeprefix("models:/"))):
            return {"source": f"models:/{model.id}", "model_id": model.id, **of_run}
        place = str(row.get("storage_location") or source).rstrip("/")
        old = self._uris.get(row["run_id"] or "")
        if run and old and (place == old or place.startswith(f"{old}/")):
            return {"source": run.uri.rstrip("/") + place.removeprefix(old), **of_run}
        if members := self._folders.get(("versions", version_id(row))):
            name = version_id(row)
            model = self._known.models.get(f"version {name}") or self._models.make_carrier(name, self._any_experiment())
            self._models.fill_carrier(model, members)
            return {"source": f"models:/{model.id}", "model_id": model.id, **of_run}
        return {"source": source, **of_run}

    def _any_experiment(self) -> str:
        return next((found.id for found in self._known.experiments.values() if not found.deleted), "0")

    def _adopt(self, name: str, version: int) -> None:
        """Let what was made to use up a number be the version itself."""
        body = {"name": name, "version": str(version), "key": FILLER}
        self._rest.send("DELETE", f"{API}/model-versions/delete-tag", body)


def stage_of(version: Record) -> str:
    """A version's stage; `NO_STAGE` if it has none."""
    return version.get("current_stage") or NO_STAGE


def numbered(rows: Sequence[Record]) -> list[Record]:
    """The versions that are there, by number; deleted ones only left their number."""
    return sorted((row for row in rows if not is_deleted(row)), key=lambda row: row["version"])
