"""Making logged models over REST."""

from __future__ import annotations

import json
from typing import Any

from handful_backup.portable.api import API
from handful_backup.portable.columns import MODEL_STATUS
from handful_backup.portable.marks import DONE, MODEL, OURS, TIMES
from handful_backup.portable.recognition import Found, Recognition
from handful_backup.portable.scratch import Scratch
from handful_backup.restoring import Restoring
from handful_backup.tables import Record
from handful_core.registry.rest import Rest

_STATUS = {number: name for name, number in MODEL_STATUS.items()}
_PARAMS = 100


class LoggedModels:
    """Makes the logged models of a backup on a server."""

    def __init__(self, rest: Rest, scratch: Scratch, recognition: Recognition, restoring: Restoring) -> None:
        self._rest = rest
        self._scratch = scratch
        self._recognition = recognition
        self._known = recognition.known
        self._restoring = restoring
        self._folders = restoring.by_folder()

    def make(self, row: Record) -> Found:
        """Make a logged model, pending and marked with its id of old."""
        model = row["model_id"]
        times = {"created": row["creation_timestamp_ms"]}
        params = [
            {"key": param["param_key"], "value": param["param_value"]}
            for param in self._scratch.rows("logged_model_params", "model_id = ?", model)
        ]
        run = self._known.runs.get(row["source_run_id"] or "")
        body = {
            "experiment_id": self._known.experiments[row["experiment_id"]].id,
            "name": row["name"],
            "model_type": row["model_type"] or "",
            "source_run_id": run.id if run else "",
            "params": params[:_PARAMS],
            "tags": _pairs({**self._tags(model), MODEL: self._recognition.mark(model), TIMES: json.dumps(times)}),
        }
        found = self._made(body)
        for start in range(_PARAMS, len(params), _PARAMS):
            more = {"model_id": found.id, "params": params[start : start + _PARAMS]}
            self._rest.send("POST", f"{API}/logged-models/{found.id}/params", more)
        return found

    def fill(self, row: Record) -> None:
        """Send a logged model's artifacts and give it its tags and state of old."""
        found = self._known.models[row["model_id"]]
        members = self._folders.get(("models", row["model_id"]), [])
        if members:
            self._restoring.send(members, found.uri, replace=found.whole)
        self._finish(found, _STATUS.get(row["status"], ""), self._tags(row["model_id"]))

    def make_carrier(self, name: str, experiment: str) -> Found:
        """A logged model for the files of a version that has none.

        Args:
            name: the version's, among holders.
            experiment: the server's id of the experiment that it is put in.
        """
        source = f"version {name}"
        tags = {MODEL: self._recognition.mark(source)}
        found = self._made({"experiment_id": experiment, "name": "restored", "tags": _pairs(tags)})
        self._known.models[source] = found
        return found

    def fill_carrier(self, found: Found, members: list[str]) -> None:
        """Send a version's files into its logged model."""
        if not found.whole:
            self._restoring.send(members, found.uri, replace=False)
            self._finish(found, "LOGGED_MODEL_READY", {})

    def _made(self, body: dict[str, Any]) -> Found:
        info = self._rest.post(f"{API}/logged-models", body)["model"]["info"]
        return Found(info["model_id"], uri=info["artifact_uri"])

    def _tags(self, model: str) -> dict[str, str]:
        tags = self._scratch.rows("logged_model_tags", "model_id = ?", model)
        return {tag["tag_key"]: tag["tag_value"] or "" for tag in tags if tag["tag_key"] not in OURS}

    def _finish(self, found: Found, status: str, tags: dict[str, str]) -> None:
        if status and status != "LOGGED_MODEL_PENDING":
            body = {"model_id": found.id, "status": status}
            self._rest.send("PATCH", f"{API}/logged-models/{found.id}", body)
        mark = {"model_id": found.id, "tags": _pairs({**tags, DONE: "-"})}
        self._rest.send("PATCH", f"{API}/logged-models/{found.id}/tags", mark)


def _pairs(values: dict[str, str]) -> list[dict[str, str]]:
    return [{"key": key, "value": value} for key, value in values.items()]
