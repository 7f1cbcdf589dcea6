"""Creating logged models, registered models and versions over REST."""

from __future__ import annotations

import json
from typing import Any

from handful_backup.artifact_folders import version_id
from handful_backup.artifact_import import ArtifactImport
from handful_backup.mlflow_tags import (
    IMPORT_TAGS,
    IMPORTED,
    MODEL_VERSIONS,
    PLACEHOLDER,
    SOURCE_MODEL,
    SOURCE_TIMES,
    versions_named,
)
from handful_backup.portable.columns import MODEL_STATUS
from handful_backup.portable.diff import ImportDiff
from handful_backup.portable.mlflow_api import tag_list
from handful_backup.portable.server_state import ServerEntity, version_identity
from handful_backup.tables import NO_STAGE, Record, stage_of
from handful_core.registry.records import SOURCE_VERSION
from handful_core.registry.rest import API, Rest

_STATUS = {number: name for name, number in MODEL_STATUS.items()}
_PARAMS = 100
_LOGGED_MODEL = "models:/m-"
"""How the source of a version begins that was made from a logged model."""
_PLACEHOLDER_TAG = {"key": PLACEHOLDER, "value": "true"}


class LoggedModelWriter:
    """Creates the logged models of a backup on a server and fills them. Several threads may call it."""

    def __init__(self, rest: Rest, diff: ImportDiff, artifacts: ArtifactImport) -> None:
        self._rest = rest
        self._policy = diff.policy
        self._staging = diff.staging
        self._state = diff.state
        self._artifacts = artifacts
        self._folders = artifacts.by_folder()

    def create(self, row: Record) -> ServerEntity:
        """Create a logged model, pending and tagged with its id in the backup."""
        model = row["model_id"]
        params = [
            {"key": param["param_key"], "value": param["param_value"]}
            for param in self._staging.rows("logged_model_params", "model_id = ?", model)
        ]
        run = self._state.runs.get(row["source_run_id"] or "")
        times = json.dumps({"created": row["creation_timestamp_ms"]})
        source = {SOURCE_MODEL: self._policy.prefixed(model), SOURCE_TIMES: times}
        body = {
            "experiment_id": self._state.experiments[row["experiment_id"]].id,
            "name": row["name"],
            "model_type": row["model_type"] or "",
            "source_run_id": run.id if run else "",
            "params": params[:_PARAMS],
            "tags": tag_list({**self._tags(model), **source}),
        }
        created = self._post(body)
        for start in range(_PARAMS, len(params), _PARAMS):
            more = {"model_id": created.id, "params": params[start : start + _PARAMS]}
            self._rest.send("POST", f"{API}/logged-models/{created.id}/params", more)
        return created

    def fill(self, row: Record) -> None:
        """Send a logged model's artifacts, and give it the backup's tags and state."""
        found = self._state.models[row["model_id"]]
        members = self._folders.get(("models", row["model_id"]), [])
        if members:
            self._artifacts.send(members, found.uri, replace=found.is_complete)
        self._finish(found, _STATUS.get(row["status"], ""), self._tags(row["model_id"]))

    def name_versions(self, row: Record) -> None:
        """Let a new logged model name the versions that were made from it, by their names and numbers here.

        Comes after them: MLflow notes each version as it is created, those too that only use up a number.
        """
        model = row["model_id"]
        tags = self._staging.rows("logged_model_tags", "model_id = ? AND tag_key = ?", model, MODEL_VERSIONS)
        there = {entry for tag in tags for entry in versions_named(tag["tag_value"])}
        here = [
            (name, self._state.versions.get((self._policy.prefixed(name), number))) for name, number in sorted(there)
        ]
        named = [{"name": self._policy.prefixed(name), "version": number} for name, number in here if number]
        if named:
            found = self._state.models[model].id
            body = {"model_id": found, "tags": tag_list({MODEL_VERSIONS: json.dumps(named)})}
            self._rest.send("PATCH", f"{API}/logged-models/{found}/tags", body)

    def of_version(self, name: str, members: list[str]) -> ServerEntity:
        """The logged model that holds the files of a version which was made from none; created if need be.

        Over REST a version has no folder of its own: its source points into that of a run or logged model.

        Args:
            name: the version's, among artifact folders.
            members: its files in the backup.
        """
        source = f"version {name}"
        found = self._state.models.get(source)
        if found is None:
            experiments = self._state.experiments.values()
            any_experiment = next((experiment.id for experiment in experiments if not experiment.deleted), "0")
            tags = {SOURCE_MODEL: self._policy.prefixed(source)}
            found = self._post({"experiment_id": any_experiment, "name": "restored", "tags": tag_list(tags)})
            self._state.models[source] = found
        if not found.is_complete:
            self._artifacts.send(members, found.uri, replace=False)
            self._finish(found, "LOGGED_MODEL_READY", {})
        return found

    def _post(self, body: dict[str, Any]) -> ServerEntity:
        info = self._rest.post(f"{API}/logged-models", body)["model"]["info"]
        return ServerEntity(info["model_id"], uri=info["artifact_uri"])

    def _tags(self, model: str) -> dict[str, str]:
        tags = self._staging.rows("logged_model_tags", "model_id = ?", model)
        left_out = {*IMPORT_TAGS, MODEL_VERSIONS}
        return {tag["tag_key"]: tag["tag_value"] or "" for tag in tags if tag["tag_key"] not in left_out}

    def _finish(self, found: ServerEntity, status: str, tags: dict[str, str]) -> None:
        if status and status != "LOGGED_MODEL_PENDING":
            body = {"model_id": found.id, "status": status}
            self._rest.send("PATCH", f"{API}/logged-models/{found.id}", body)
        complete = {"model_id": found.id, "tags": tag_list({**tags, IMPORTED: "-"})}
        self._rest.send("PATCH", f"{API}/logged-models/{found.id}/tags", complete)


class VersionWriter:
    """Creates registered models and versions on a server, in the order of their numbers and with the gaps between."""

    def __init__(
        self, rest: Rest, diff: ImportDiff, artifacts: ArtifactImport, logged_models: LoggedModelWriter
    ) -> None:
        self._rest = rest
        self._policy = diff.policy
        self._staging = diff.staging
        self._state = diff.state
        self._logged_models = logged_models
        self._folders = artifacts.by_folder()
        self._run_uris = {row["run_uuid"]: (row["artifact_uri"] or "").rstrip("/") for row in diff.staging.rows("runs")}

    def create_model(self, row: Record) -> None:
        """Create a registered model."""
        tags = self._staging.rows("registered_model_tags", "name = ?", row["name"])
        body = {
            "name": self._policy.prefixed(row["name"]),
            "description": row["description"] or "",
            "tags": [{"key": tag["key"], "value": tag["value"] or ""} for tag in tags],
        }
        self._rest.post(f"{API}/registered-models/create", body)

    def update_model(self, row: Record) -> None:
        """Give a registered model the backup's description and tags."""
        name = self._policy.prefixed(row["name"])
        body = {"name": name, "description": row["description"] or ""}
        self._rest.send("PATCH", f"{API}/registered-models/update", body)
        for tag in self._staging.rows("registered_model_tags", "name = ?", row["name"]):
            body = {"name": name, "key": tag["key"], "value": tag["value"] or ""}
            self._rest.send("POST", f"{API}/registered-models/set-tag", body)

    def create(self, row: Record, last: int) -> int:
        """Create a version.

        Args:
            row: the version's.
            last: the highest number that the model is seen to have on the server; 0 for none.

        Returns:
            Its number on the server: the backup's, unless that is taken.
        """
        name = self._policy.prefixed(row["name"])
        number = self._create_with_number(name, row, last)
        if stage_of(row) != NO_STAGE:
            self.set_stage(name, number, row)
        return number

    def update(self, row: Record, number: int) -> None:
        """Give a version the backup's description and tags."""
        version = {"name": self._policy.prefixed(row["name"]), "version": str(number)}
        body = {**version, "description": row["description"] or ""}
        self._rest.send("PATCH", f"{API}/model-versions/update", body)
        for key, value in self._tags(row).items():
            self._rest.send("POST", f"{API}/model-versions/set-tag", {**version, "key": key, "value": value})

    def set_stage(self, name: str, number: int, row: Record) -> None:
        """Give a version the backup's stage."""
        stage = {
            "name": name,
            "version": str(number),
            "stage": stage_of(row),
            "archive_existing_versions": False,
        }
        self._rest.send("POST", f"{API}/model-versions/transition-stage", stage)

    def set_alias(self, name: str, alias: str, version: int) -> None:
        """Point an alias at a version."""
        body = {"name": name, "alias": alias, "version": str(version)}
        self._rest.send("POST", f"{API}/registered-models/alias", body)

    def delete(self, name: str, version: int) -> None:
        """Delete a version."""
        self._rest.send("DELETE", f"{API}/model-versions/delete", {"name": name, "version": str(version)})

    def _create_with_number(self, name: str, row: Record, last: int) -> int:
        """Create a version; its number, which is the backup's unless that is taken.

        MLflow counts up by itself and takes no number. So gaps are filled with placeholders, which are deleted.
        """
        body = self._body(name, row)
        while last + 1 < row["version"]:
            last = self._post({**body, "tags": [*body["tags"], _PLACEHOLDER_TAG]})
            if last >= row["version"]:
                # Versions that were deleted have used up numbers, and MLflow does not show them. So this one has
                # come to the backup's number or beyond it: it is no placeholder but the version itself.
                self._remove_placeholder_tag(name, last)
                return last
            self.delete(name, last)
        return self._post(body)

    def _body(self, name: str, row: Record) -> dict[str, Any]:
        times = {"created": row["creation_time"], "updated": row["last_updated_time"], "user": row["user_id"]}
        source = {SOURCE_VERSION: version_identity(row), SOURCE_TIMES: json.dumps(times)}
        return {
            "name": name,
            "description": row["description"] or "",
            "run_link": row["run_link"] or "",
            "tags": tag_list({**self._tags(row), **source}),
            **self._source(row),
        }

    def _post(self, body: dict[str, Any]) -> int:
        return int(self._rest.post(f"{API}/model-versions/create", body)["model_version"]["version"])

    def _remove_placeholder_tag(self, name: str, version: int) -> None:
        body = {"name": name, "version": str(version), "key": PLACEHOLDER}
        self._rest.send("DELETE", f"{API}/model-versions/delete-tag", body)

    def _tags(self, row: Record) -> dict[str, str]:
        tags = self._staging.rows("model_version_tags", "name = ? AND version = ?", row["name"], row["version"])
        return {tag["key"]: tag["value"] or "" for tag in tags if tag["key"] not in IMPORT_TAGS}

    def _source(self, row: Record) -> dict[str, str]:
        """Where a version's files are on this server, and its run."""
        run = self._state.runs.get(row["run_id"] or "")
        of_run = {"run_id": run.id} if run else {}
        source = str(row["source"] or "")
        if source.startswith(_LOGGED_MODEL) and (model := self._state.models.get(source.removeprefix("models:/"))):
            return {"source": f"models:/{model.id}", "model_id": model.id, **of_run}
        uri = str(row.get("storage_location") or source).rstrip("/")
        run_uri = self._run_uris.get(row["run_id"] or "")
        if run and run_uri and (uri == run_uri or uri.startswith(f"{run_uri}/")):
            return {"source": run.uri.rstrip("/") + uri.removeprefix(run_uri), **of_run}
        if members := self._folders.get(("versions", version_id(row))):
            model = self._logged_models.of_version(version_id(row), members)
            return {"source": f"models:/{model.id}", "model_id": model.id, **of_run}
        return {"source": source, **of_run}
