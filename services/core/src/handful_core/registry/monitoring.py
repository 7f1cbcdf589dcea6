"""MLflow's experiments `monitoring/<model>`, where prediction logs and verdicts lie, and `review/<model>`."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from datetime import datetime
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any

import httpx

from handful_core.closing import Closing
from handful_core.errors import HandfulError, NotFoundError, UnavailableError
from handful_core.registry.artifacts import ArtifactProxy, proxied_path
from handful_core.registry.rest import API, NotMlflowError, Rest, parses_responses

PREFIX = "monitoring/"
"""Of the experiments' names."""
REVIEW_PREFIX = "review/"
"""Of those that keep captured pictures: see `handful_core.review`."""
KIND, REPLICA, DAY = "handful.kind", "handful.replica", "handful.day"
"""Tags of a run: what it holds, of which server, of which day (UTC, such as 2026-11-29)."""
PREDICTION_LOG = "prediction-log"
_MILLISECONDS = 1000
_MAX_BYTES = 1 << 28
"""Of a file that is fetched."""
_RUNS_PER_PAGE = 100


class MonitoringRun:
    """A run of such an experiment.

    Args:
        rest: the server.
        data: MLflow's Run.

    Raises:
        HandfulError: its artifacts are not passed on by MLflow.
    """

    def __init__(self, rest: Rest, data: Mapping[str, Any]) -> None:
        self._rest = rest
        self._artifacts = ArtifactProxy(rest)
        try:
            self.id: str = data["info"]["run_id"]
            self.experiment_id: str = data["info"]["experiment_id"]
            self.tags: Mapping[str, str] = {tag["key"]: tag["value"] for tag in data.get("data", {}).get("tags", ())}
            self._root = proxied_path(data["info"]["artifact_uri"])
        except (KeyError, TypeError, AttributeError) as error:
            raise NotMlflowError(rest.uri) from error
        if not self._root:
            raise NotMlflowError(rest.uri)

    @property
    def uri(self) -> str:
        """The server's address, without a password."""
        return self._rest.uri

    def files(self, folder: str) -> list[str]:
        """Names of the files in a folder of its artifacts, in order."""
        return [entry.name for entry in self._artifacts.entries(self._path(folder)) if not entry.is_folder]

    def download(self, path: str, target: Path) -> None:
        """Fetch one of its artifacts.

        Raises:
            DamagedPackageError: it is larger than any segment or verdict.
        """
        self._artifacts.download(self._path(path), target, _MAX_BYTES)

    def read(self, path: str, limit: int = _MAX_BYTES) -> bytes:
        """One of its artifacts.

        Raises:
            FileNotFoundError: it has none of this name.
            DamagedPackageError: it has more bytes than the limit.
        """
        return self._artifacts.read(self._path(path), limit)

    def upload(self, path: str, content: bytes) -> None:
        """Write one of its artifacts: all of it, or nothing. A second time is the same as once."""
        self._artifacts.upload(self._path(path), iter([content]), len(content))

    def remove(self, path: str) -> None:
        """Delete one of its artifacts; nothing happens if it has none of this name."""
        self._artifacts.remove(self._path(path))

    def log(self, metrics: Mapping[str, float], tags: Mapping[str, str]) -> None:
        """Add a point to each metric, and set tags."""
        now = _now()
        points = [{"key": k, "value": v, "timestamp": now, "step": now // _MILLISECONDS} for k, v in metrics.items()]
        body = {"run_id": self.id, "metrics": points, "tags": [{"key": k, "value": v} for k, v in tags.items()]}
        self._rest.send("POST", f"{API}/runs/log-batch", body)

    @parses_responses
    def params(self) -> dict[str, str]:
        """Its parameters."""
        data = self._rest.get(f"{API}/runs/get", {"run_id": self.id})["run"].get("data", {})
        return {param["key"]: param["value"] for param in data.get("params", ())}

    def set_once(self, key: str, value: str) -> None:
        """Set a parameter if nobody has: MLflow's database keeps the first value, whoever else sets one meanwhile."""
        try:
            self._rest.send("POST", f"{API}/runs/log-parameter", {"run_id": self.id, "key": key, "value": value})
        except UnavailableError:
            raise
        except HandfulError:
            if key not in self.params():
                raise

    def end(self) -> None:
        """Mark it as finished: more artifacts may still come."""
        body = {"run_id": self.id, "status": "FINISHED", "end_time": _now()}
        self._rest.send("POST", f"{API}/runs/update", body)

    def delete(self) -> None:
        """Remove its artifacts for good, then the run: it goes to MLflow's bin."""
        self._artifacts.remove(self._root)
        self._rest.send("POST", f"{API}/runs/delete", {"run_id": self.id})

    def _path(self, path: str) -> str:
        return f"{self._root}/{path}"


class MonitoringExperiments(Closing):
    """All of them on one server.

    Args:
        uri: the server's address.
        timeout: seconds to wait for one answer.
        attempts: how often a question is asked before the server counts as away.
        transport: another transport than the network, for tests.
        prefix: of the experiments' names.

    Every method raises `UnavailableError` when the server does not answer.
    """

    def __init__(
        self,
        uri: str,
        timeout: float = 10,
        attempts: int = 3,
        transport: httpx.BaseTransport | None = None,
        prefix: str = PREFIX,
    ) -> None:
        self._rest = Rest(uri, timeout, attempts, transport)
        self._prefix = prefix

    def close(self) -> None:
        """Close the connections."""
        self._rest.close()

    @property
    def uri(self) -> str:
        """The server's address, without a password."""
        return self._rest.uri

    def server_time(self) -> datetime | None:
        """What the server's clock says; None if it does not say."""
        date = self._rest.header("/health", "date")
        try:
            return parsedate_to_datetime(date) if date else None
        except ValueError:
            return None

    @parses_responses
    def models(self) -> list[str]:
        """Names of the models that have one."""
        prefix = self._prefix
        body = {"filter": f"name LIKE '{prefix}%'", "view_type": "ACTIVE_ONLY"}
        found = self._rest.search(f"{API}/experiments/search", "experiments", body)
        return sorted(entry["name"].removeprefix(prefix) for entry in found if entry["name"].startswith(prefix))

    @parses_responses
    def tags(self, model: str) -> dict[str, str]:
        """Tags of a model's experiment; none if it has no experiment."""
        found = self._experiment(model)
        return {tag["key"]: tag["value"] for tag in found.get("tags", ())} if found else {}

    def set_tag(self, model: str, key: str, value: str) -> None:
        """Set a tag of a model's experiment, which is made if there is none."""
        number = self._number(model) or self._make(model)
        self._rest.send(
            "POST", f"{API}/experiments/set-experiment-tag", {"experiment_id": number, "key": key, "value": value}
        )

    @parses_responses
    def runs(self, model: str, tags: Mapping[str, str]) -> Iterator[MonitoringRun]:
        """A model's runs with these tags, the oldest first."""
        number = self._number(model)
        if number is None:
            return iter(())
        body = {
            "experiment_ids": [number],
            "filter": " and ".join(f"tags.`{key}` = '{value}'" for key, value in tags.items()),
            "order_by": ["attributes.start_time ASC", "attributes.run_id ASC"],
            "run_view_type": "ACTIVE_ONLY",
        }
        found = self._rest.search(f"{API}/runs/search", "runs", body, page=_RUNS_PER_PAGE)
        return iter([MonitoringRun(self._rest, data) for data in found])

    @parses_responses
    def create(self, model: str, name: str, tags: Mapping[str, str]) -> MonitoringRun:
        """Start a run, in an experiment that is made if there is none."""
        number = self._number(model) or self._make(model)
        body = {
            "experiment_id": number,
            "run_name": name,
            "start_time": _now(),
            "tags": [{"key": key, "value": value} for key, value in tags.items()],
        }
        return MonitoringRun(self._rest, self._rest.post(f"{API}/runs/create", body)["run"])

    def _number(self, model: str) -> str | None:
        found = self._experiment(model)
        return str(found["experiment_id"]) if found else None

    @parses_responses
    def _experiment(self, model: str) -> dict[str, Any] | None:
        name = self._prefix + model
        try:
            query = {"experiment_name": name}
            found: dict[str, Any] = self._rest.get(f"{API}/experiments/get-by-name", query)["experiment"]
        except NotFoundError:
            return None
        if found["lifecycle_stage"] != "active":
            raise HandfulError(
                f"MLflow's experiment {name} is deleted", "restore it, or delete it for good with: mlflow gc"
            )
        return found

    @parses_responses
    def _make(self, model: str) -> str:
        try:
            body = {"name": self._prefix + model}
            return str(self._rest.post(f"{API}/experiments/create", body)["experiment_id"])
        except HandfulError:
            # Somebody else may have made it a moment ago.
            if (number := self._number(model)) is None:
                raise
            return number


def _now() -> int:
    return round(time.time() * _MILLISECONDS)
