"""Making experiments over REST."""

from __future__ import annotations

import json
from collections.abc import Iterator

from handful_backup.artifacts import is_elsewhere
from handful_backup.holders import experiment_root
from handful_backup.portable.api import API
from handful_backup.portable.marks import EXPERIMENT, OURS, TIMES
from handful_backup.portable.recognition import Found
from handful_backup.portable.wanted import Wanted
from handful_backup.restoring import Restoring
from handful_backup.tables import Record
from handful_core.errors import ConfigError
from handful_core.registry.rest import Rest

_HOLDERS = (("runs", "run_uuid", "runs"), ("logged_models", "model_id", "models"))


class Experiments:
    """Makes the experiments of a backup on a server."""

    def __init__(self, rest: Rest, wanted: Wanted, restoring: Restoring) -> None:
        self._rest = rest
        self._wanted = wanted
        self._scratch = wanted.scratch
        self._known = wanted.known.experiments
        self._restoring = restoring

    def make(self) -> None:
        """Make those that are not there; deleted ones are restored, as nothing can be put into them."""
        for row in self._scratch.rows("experiments", order="experiment_id"):
            found = self._known.get(row["experiment_id"])
            if found is None:
                self._known[row["experiment_id"]] = self._make(row)
                continue
            if found.deleted:
                self._rest.send("POST", f"{API}/experiments/restore", {"experiment_id": found.id})
            if self._wanted.wish.overwrite:
                self._update(row, found)

    def refuse_folders_elsewhere(self) -> None:
        """Make sure that artifacts get where MLflow sees them.

        Raises:
            ConfigError: MLflow keeps them in a folder, and that is one of another machine.
        """
        for number in sorted(set(self._with_artifacts())):
            found = self._known[number]
            root = experiment_root(found.uri, found.id)
            if is_elsewhere(root):
                raise ConfigError(
                    f"MLflow keeps artifacts in the folder {root}, which this machine does not have",
                    "import on the machine where MLflow runs; if it is this one, make the folder first",
                )

    def delete(self) -> None:
        """Delete those that do not stay."""
        for row in self._scratch.rows("experiments"):
            found = self._known[row["experiment_id"]]
            if self._wanted.experiment_goes(found, row):
                self._rest.send("POST", f"{API}/experiments/delete", {"experiment_id": found.id})

    def _make(self, row: Record) -> Found:
        times = {"created": row["creation_time"], "updated": row["last_update_time"]}
        marks = {EXPERIMENT: str(row["experiment_id"]), TIMES: json.dumps(times)}
        body = {
            "name": self._wanted.wish.prefix + row["name"],
            "tags": [{"key": key, "value": value} for key, value in {**self._tags(row), **marks}.items()],
        }
        number = self._rest.post(f"{API}/experiments/create", body)["experiment_id"]
        made = self._rest.get(f"{API}/experiments/get", {"experiment_id": number})["experiment"]
        return Found(number, digest="-", uri=made.get("artifact_location", ""))

    def _update(self, row: Record, found: Found) -> None:
        for key, value in self._tags(row).items():
            body = {"experiment_id": found.id, "key": key, "value": value}
            self._rest.send("POST", f"{API}/experiments/set-experiment-tag", body)

    def _tags(self, row: Record) -> dict[str, str]:
        tags = self._scratch.rows("experiment_tags", "experiment_id = ?", row["experiment_id"])
        return {tag["key"]: tag["value"] or "" for tag in tags if tag["key"] not in OURS}

    def _with_artifacts(self) -> Iterator[int]:
        """The experiments, in the backup, whose runs or logged models have files in it."""
        carried = self._restoring.by_folder()
        for table, key, kind in _HOLDERS:
            for row in self._scratch.rows(table):
                if (kind, row[key]) in carried:
                    yield row["experiment_id"]
