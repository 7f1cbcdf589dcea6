"""The experiments `monitoring/<model>` of MLflow, where prediction logs and verdicts lie."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

from handful_core.errors import HandfulError, NotFoundError
from handful_core.registry.rest import NotMlflowError, Rest

PREFIX = "monitoring/"
KIND = "handful.kind"
_API = "/api/2.0/mlflow"
_ARTIFACTS = "/api/2.0/mlflow-artifacts/artifacts"
_ACTIVE_OR_ENDED = {"run_view_type": "ACTIVE_ONLY"}
_MILLISECONDS = 1000


class MonitoringRun:
    """A run of such an experiment.

    Args:
        rest: the server.
        data: MLflow's Run.
    """

    def __init__(self, rest: Rest, data: Mapping[str, Any]) -> None:
        self._rest = rest
        self.id: str = data["info"]["run_id"]
        self.tags: Mapping[str, str] = {tag["key"]: tag["value"] for tag in data.get("data", {}).get("tags", ())}
        self._root = _artifact_path(data["info"]["artifact_uri"])

    def files(self, folder: str) -> list[str]:
        """Names of the files in a folder of its artifacts, in order."""
        entries = self._rest.get(_ARTIFACTS, {"path": f"{self._root}/{folder}"}).get("files", ())
        return sorted(entry["path"].rpartition("/")[2] for entry in entries if not entry["is_dir"])

    def download(self, path: str, target: Path) -> None:
        """Fetch one of its artifacts."""
        self._rest.download(f"{_ARTIFACTS}/{quote(f'{self._root}/{path}')}", target)

    def read(self, path: str) -> bytes:
        """One of its artifacts.

        Raises:
            FileNotFoundError: it has none of this name.
        """
        with self._rest.open(f"{_ARTIFACTS}/{quote(f'{self._root}/{path}')}") as file:
            return file.read()

    def upload(self, path: str, content: bytes) -> None:
        """Write one of its artifacts: all of it, or nothing."""
        self._rest.upload(f"{_ARTIFACTS}/{quote(f'{self._root}/{path}')}", iter([content]), len(content))

    def log(self, metrics: Mapping[str, float], tags: Mapping[str, str]) -> None:
        """Add a point to each metric, and set tags."""
        now = round(time.time() * _MILLISECONDS)
        points = [{"key": k, "value": v, "timestamp": now, "step": now // _MILLISECONDS} for k, v in metrics.items()]
        body = {"run_id": self.id, "metrics": points, "tags": [{"key": k, "value": v} for k, v in tags.items()]}
        self._rest.send("POST", f"{_API}/runs/log-batch", body)

    def end(self) -> None:
        """Mark it as finished."""
        now = round(time.time() * _MILLISECONDS)
        body = {"run_id": self.id, "status": "FINISHED", "end_time": now}
        self._rest.send("POST", f"{_API}/runs/update", body)


class MonitoringExperiments:
    """All of them on one server.

    Args:
        rest: the server.
    """

    def __init__(self, rest: Rest) -> None:
        self._rest = rest

    def models(self) -> list[str]:
        """Names of the models that have one."""
        body = {"filter": f"name LIKE '{PREFIX}%'", "view_type": "ACTIVE_ONLY"}
        found = self._rest.search(f"{_API}/experiments/search", "experiments", body)
        return sorted(entry["name"].removeprefix(PREFIX) for entry in found if entry["name"].startswith(PREFIX))

    def runs(self, model: str, kind: str) -> Iterator[MonitoringRun]:
        """A model's runs of a kind, the newest first."""
        number = self._number(model)
        if number is None:
            return
        body = {
            "experiment_ids": [number],
            "filter": f"tags.`{KIND}` = '{kind}'",
            "order_by": ["attributes.start_time DESC"],
            **_ACTIVE_OR_ENDED,
        }
        for data in self._rest.search(f"{_API}/runs/search", "runs", body, page=100):
            yield MonitoringRun(self._rest, data)

    def create(self, model: str, kind: str, name: str, tags: Mapping[str, str]) -> MonitoringRun:
        """Start a run, in an experiment that is made if there is none."""
        number = self._number(model) or self._make(model)
        every = {KIND: kind, **tags}
        body = {
            "experiment_id": number,
            "run_name": name,
            "start_time": round(time.time() * _MILLISECONDS),
            "tags": [{"key": key, "value": value} for key, value in every.items()],
        }
        return MonitoringRun(self._rest, self._rest.post(f"{_API}/runs/create", body)["run"])

    def _number(self, model: str) -> str | None:
        try:
            query = {"experiment_name": PREFIX + model}
            found = self._rest.get(f"{_API}/experiments/get-by-name", query)["experiment"]
        except NotFoundError:
            return None
        if found["lifecycle_stage"] != "active":
            raise HandfulError(
                f"MLflow's experiment {PREFIX + model} is deleted",
                f"restore it, or delete it for good: {found['name']}",
            )
        return str(found["experiment_id"])

    def _make(self, model: str) -> str:
        try:
            return str(self._rest.post(f"{_API}/experiments/create", {"name": PREFIX + model})["experiment_id"])
        except HandfulError:
            # Somebody else has made it a moment ago.
            if (number := self._number(model)) is None:
                raise
            return number


def _artifact_path(uri: str) -> str:
    parts = urlsplit(uri)
    if parts.scheme != "mlflow-artifacts":
        raise HandfulError(
            f"MLflow keeps artifacts at {parts.scheme or uri}:, which it does not pass on",
            "start MLflow with --artifacts-destination",
        )
    if not (path := parts.path.strip("/")):
        raise NotMlflowError(uri)
    return path
