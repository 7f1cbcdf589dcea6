"""MLflow's registry and artifact proxy in memory, as an `httpx` transport.

It answers what a real MLflow 3.17 was seen to answer: `tests/integration/core/test_registry.py` runs the same suite on
both. It can also be away, slow, or no MLflow at all:

    mlflow = FakeMlflow()
    mlflow.register(build_package(tmp_path / "package"), aliases=["champion"])
    registry = Registry("http://mlflow", transport=mlflow.transport())
    mlflow.away = True
"""

from __future__ import annotations

import json
import math
import re
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import format_datetime
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import unquote
from uuid import uuid4

import httpx

from handful_core.package import Package

_API = "/api/2.0/mlflow/"
_ARTIFACTS = "/api/2.0/mlflow-artifacts/artifacts"


@dataclass
class _Version:
    version: int
    source: str
    run_id: str
    created: int
    tags: dict[str, str]


@dataclass
class _Model:
    created: int
    versions: dict[int, _Version] = field(default_factory=dict)
    aliases: dict[str, int] = field(default_factory=dict)


class _RefusalError(Exception):
    def __init__(self, status: int, code: str, message: str) -> None:
        self.response = httpx.Response(status, json={"error_code": code, "message": message})


def _missing(message: str) -> _RefusalError:
    return _RefusalError(404, "RESOURCE_DOES_NOT_EXIST", message)


class FakeMlflow:
    """An MLflow server that lives in a dictionary."""

    def __init__(self) -> None:
        self.away = False
        """Connections are refused."""
        self.delay = 0.0
        """Seconds before each answer."""
        self.answer: Callable[[httpx.Request], httpx.Response] | None = None
        """Answers instead of MLflow: a proxy's error page, say."""
        self.now: Callable[[], datetime] = lambda: datetime.now(UTC)
        """Its clock."""
        self.page = 1000
        """Entries of a list's page at most."""
        self.requests: list[str] = []
        """Paths asked for, in order."""
        self.runs: dict[str, dict[str, list[float]]] = {}
        """Run's id to metric to its values, one a step."""
        self.monitoring = FakeExperiments(self)
        self._models: dict[str, _Model] = {}
        self._files: dict[str, bytes] = {}
        self._schemes: dict[str, str] = {}
        self._clock = int(time.time() * 1000)
        self._made = 0

    def transport(self) -> httpx.MockTransport:
        """What a client talks through."""
        return httpx.MockTransport(self.handle)

    def register(
        self,
        package: Package | Path | None,
        name: str = "fingers",
        aliases: Iterable[str] = (),
        tags: Mapping[str, str] | None = None,
        *,
        scheme: str = "mlflow-artifacts",
    ) -> int:
        """Add a version that holds the package's files (or none); its number."""
        model = self._models.setdefault(name, _Model(self._tick()))
        version = max(model.versions, default=0) + 1
        self._made += 1
        model_id = f"m-{self._made:032x}"
        self._files[f"1/models/{model_id}/artifacts/MLmodel"] = b"flavors: {}\n"
        root = package.root if isinstance(package, Package) else package
        for path in sorted(p for p in root.rglob("*") if p.is_file()) if root else ():
            inside = path.relative_to(root or path).as_posix()
            self._files[f"1/models/{model_id}/artifacts/artifacts/package/{inside}"] = path.read_bytes()
        model.versions[version] = _Version(
            version, f"models:/{model_id}", f"{self._made:032x}", self._tick(), dict(tags or {})
        )
        self._schemes[model_id] = scheme
        for alias in aliases:
            self.point(alias, version, name)
        return version

    def point(self, alias: str, version: int, name: str = "fingers") -> None:
        """Set an alias, as another client would."""
        self._models[name].aliases[alias] = version

    def drop_alias(self, alias: str, name: str = "fingers") -> None:
        """Remove an alias, as another client would."""
        del self._models[name].aliases[alias]

    def forget(self, name: str = "fingers") -> None:
        """Delete a registered model with all versions."""
        del self._models[name]

    def handle(self, request: httpx.Request) -> httpx.Response:
        """Answer one request."""
        self.requests.append(request.url.path)
        if self.delay:
            time.sleep(self.delay)
        if self.away:
            raise httpx.ConnectError("Connection refused", request=request)
        if self.answer is not None:
            return self.answer(request)
        try:
            return self._route(request)
        except _RefusalError as refusal:
            return refusal.response

    def _tick(self) -> int:
        self._clock += 1
        return self._clock

    def _route(self, request: httpx.Request) -> httpx.Response:
        path, query = request.url.path, request.url.params
        if path == "/health":
            return httpx.Response(200, text="OK", headers={"Date": format_datetime(self.now(), usegmt=True)})
        if path == _ARTIFACTS:
            return httpx.Response(200, json=self._listing(query["path"]))
        if path.startswith(_ARTIFACTS + "/"):
            return self._artifact(request, unquote(path.removeprefix(_ARTIFACTS + "/")))
        what = path.removeprefix(_API)
        if (found := self.monitoring.route(what, request)) is not None:
            return httpx.Response(200, json=found)
        if request.method == "POST":
            return httpx.Response(200, json=self._change(what, _json(request)))
        if what.startswith("logged-models/"):
            return httpx.Response(200, json=self._logged_model(what.removeprefix("logged-models/")))
        return httpx.Response(200, json=self._ask(what, query))

    def _ask(self, what: str, query: httpx.QueryParams) -> dict[str, Any]:
        if what == "registered-models/search":
            return self._paged("registered_models", [self._model_json(name) for name in sorted(self._models)], query)
        if what == "registered-models/get":
            self._model(query["name"])
            return {"registered_model": self._model_json(query["name"])}
        if what == "model-versions/search":
            name = _filtered(query["filter"])
            model = self._models.get(name, _Model(0))
            found = [_version_json(name, v) for v in sorted(model.versions.values(), key=lambda v: -v.version)]
            return self._paged("model_versions", found, query)
        if what == "model-versions/get":
            version = self._version(query["name"], query["version"])
            aliases = [a for a, number in self._model(query["name"]).aliases.items() if number == version.version]
            entry = _version_json(query["name"], version)
            return {"model_version": entry | ({"aliases": aliases} if aliases else {})}
        if what == "model-versions/get-download-uri":
            return {"artifact_uri": self._uri(self._version(query["name"], query["version"]).source)}
        if what in {"runs/get", "metrics/get-history"}:
            return self._run(what, query)
        raise _RefusalError(404, "ENDPOINT_NOT_FOUND", f"no endpoint {what}")

    def _run(self, what: str, query: httpx.QueryParams) -> dict[str, Any]:
        run_id = query["run_id"]
        if run_id not in self.runs:
            raise _missing(f"Run with id={run_id} not found")
        logged = {
            key: [
                {"key": key, "value": _number(value), "timestamp": self._clock, "step": step}
                for step, value in enumerate(values)
            ]
            for key, values in self.runs[run_id].items()
        }
        if what == "metrics/get-history":
            return {"metrics": logged.get(query["metric_key"], [])}
        info = {"run_id": run_id, "experiment_id": "1", "run_name": "drawn", "start_time": self._clock}
        return {"run": {"info": info, "data": {"metrics": [points[-1] for points in logged.values()]}}}

    def _change(self, what: str, body: Mapping[str, str]) -> dict[str, Any]:
        version = self._version(body["name"], body["version"])
        if what == "registered-models/alias":
            self.point(body["alias"], version.version, body["name"])
        elif what == "model-versions/set-tag":
            version.tags[body["key"]] = body["value"]
        else:
            raise _RefusalError(404, "ENDPOINT_NOT_FOUND", f"no endpoint {what}")
        return {}

    def _paged(self, key: str, entries: list[dict[str, Any]], query: httpx.QueryParams) -> dict[str, Any]:
        start = int(query.get("page_token") or 0)
        end = start + min(self.page, int(query["max_results"]))
        answer: dict[str, Any] = {key: entries[start:end]} if entries[start:end] else {}
        return answer | ({"next_page_token": str(end)} if end < len(entries) else {})

    def _model(self, name: str) -> _Model:
        if name not in self._models:
            raise _missing(f"Registered Model with name={name} not found")
        return self._models[name]

    def _version(self, name: str, version: str) -> _Version:
        if not version.isdigit():
            raise _RefusalError(
                400, "INVALID_PARAMETER_VALUE", f"Parameter 'version' must be an integer, got '{version}'."
            )
        found = self._models[name].versions.get(int(version)) if name in self._models else None
        if found is None:
            raise _missing(f"Model Version (name={name}, version={version}) not found")
        return found

    def _model_json(self, name: str) -> dict[str, Any]:
        model = self._models[name]
        entry: dict[str, Any] = {"name": name, "creation_timestamp": model.created}
        if model.versions:
            entry["latest_versions"] = [_version_json(name, model.versions[max(model.versions)])]
        if model.aliases:
            entry["aliases"] = [{"alias": a, "version": str(v)} for a, v in sorted(model.aliases.items())]
        return entry

    def _uri(self, source: str) -> str:
        model_id = source.removeprefix("models:/")
        return f"{self._schemes[model_id]}:/1/models/{model_id}/artifacts"

    def _logged_model(self, model_id: str) -> dict[str, Any]:
        if model_id not in self._schemes:
            raise _missing(f"Logged model with ID '{model_id}' not found.")
        return {"model": {"info": {"model_id": model_id, "artifact_uri": self._uri(f"models:/{model_id}")}}}

    def _listing(self, folder: str) -> dict[str, Any]:
        below = [PurePosixPath(name).relative_to(folder) for name in self._files if name.startswith(folder + "/")]
        names = sorted({path.parts[0] for path in below})
        files: list[dict[str, Any]] = []
        for name in names:
            data = self._files.get(f"{folder}/{name}")
            size = {} if data is None else {"file_size": len(data)}
            files.append({"path": name, "is_dir": data is None, **size})
        return {"files": files} if files else {}

    def _artifact(self, request: httpx.Request, name: str) -> httpx.Response:
        if request.method == "PUT":
            self._files[name] = request.read()
            return httpx.Response(200, json={})
        if request.method == "DELETE":
            below = [known for known in self._files if known == name or known.startswith(f"{name}/")]
            for known in below:
                del self._files[known]
            return httpx.Response(200, json={})
        if name not in self._files:
            raise _missing(f"No such artifact: '{name}'")
        return httpx.Response(200, content=self._files[name])


class FakeExperiments:
    """Experiments `monitoring/…` and `review/…`, and their runs.

    Args:
        mlflow: the server that they belong to.
    """

    def __init__(self, mlflow: FakeMlflow) -> None:
        self._mlflow = mlflow
        self.runs: dict[str, dict[str, Any]] = {}
        """MLflow's Run by id."""
        self.experiments: dict[str, dict[str, Any]] = {}
        """By name."""
        self.scheme = "mlflow-artifacts"
        self._lock = threading.Lock()

    def segments(self, run_id: str | None = None) -> dict[str, bytes]:
        """Uploaded files by name; of all runs, or of one."""
        files = self._mlflow._files.items()
        return {
            path.rpartition("/")[2]: data for path, data in files
            if "/artifacts/log/" in path and (run_id is None or f"/{run_id}/" in path)
        }  # fmt: skip

    def route(self, what: str, request: httpx.Request) -> dict[str, Any] | None:
        """The answer, if it is asked of these."""
        if what == "experiments/get-by-name":
            return {"experiment": self._experiment(request.url.params["experiment_name"])}
        body: Any = json.loads(request.content) if request.content and request.method == "POST" else {}
        if what == "experiments/create":
            return {"experiment_id": self._create(body["name"])}
        if what == "experiments/set-experiment-tag":
            (found,) = [e for e in self.experiments.values() if e["experiment_id"] == body["experiment_id"]]
            found["tags"] = [t for t in found.get("tags", []) if t["key"] != body["key"]]
            found["tags"].append({"key": body["key"], "value": body["value"]})
            return {}
        if what == "experiments/search":
            start = body.get("filter", "").removeprefix("name LIKE '").removesuffix("%'")
            active = [
                e for e in self.experiments.values() if e["lifecycle_stage"] == "active" and e["name"].startswith(start)
            ]
            return {"experiments": active} if active else {}
        return self._route_run(what, request, body)

    def _route_run(self, what: str, request: httpx.Request, body: Any) -> dict[str, Any] | None:
        if what == "runs/create":
            return {"run": self._run(body)}
        if what == "runs/search":
            found = [run for run in self.runs.values() if self._matches(run, body)]
            return {"runs": found} if found else {}
        if what == "runs/get" and request.url.params["run_id"] in self.runs:
            return self._get(request.url.params["run_id"])
        if what == "runs/log-parameter":
            self._log_parameter(body)
            return {}
        if what in {"runs/update", "runs/delete", "runs/log-batch"}:
            if body["run_id"] not in self.runs:
                raise _missing(f"Run with id={body['run_id']} not found")
            if what == "runs/log-batch":
                tags = self.runs[body["run_id"]]["data"]["tags"]
                tags[:] = [tag for tag in tags if tag["key"] not in {new["key"] for new in body["tags"]}] + body["tags"]
                return {}
            change = {"lifecycle_stage": "deleted"} if what == "runs/delete" else {"status": body["status"]}
            self.runs[body["run_id"]]["info"] |= change
            return {}
        return None

    def _experiment(self, name: str) -> dict[str, Any]:
        if name not in self.experiments:
            raise _missing(f"Could not find experiment with name '{name}'")
        return self.experiments[name]

    def _create(self, name: str) -> str:
        if name in self.experiments:
            raise _RefusalError(400, "RESOURCE_ALREADY_EXISTS", f"Experiment '{name}' already exists.")
        number = str(len(self.experiments) + 7)
        self.experiments[name] = {"experiment_id": number, "name": name, "lifecycle_stage": "active"}
        return number

    def _run(self, body: dict[str, Any]) -> dict[str, Any]:
        run_id = uuid4().hex  # As MLflow makes them: none is that of a training that a test counts from 1.
        info = {
            "run_id": run_id,
            "experiment_id": body["experiment_id"],
            "run_name": body["run_name"],
            "start_time": body["start_time"],
            "status": "RUNNING",
            "lifecycle_stage": "active",
            "artifact_uri": f"{self.scheme}:/{body['experiment_id']}/{run_id}/artifacts",
        }
        self.runs[run_id] = {"info": info, "data": {"tags": body["tags"]}}
        return self.runs[run_id]

    def _get(self, run_id: str) -> dict[str, Any]:
        if run_id not in self.runs:
            raise _missing(f"Run with id={run_id} not found")
        return {"run": self.runs[run_id]}

    def _log_parameter(self, body: dict[str, Any]) -> None:
        run = self._get(body["run_id"])["run"]
        if run["info"]["lifecycle_stage"] != "active":
            raise _RefusalError(400, "INVALID_PARAMETER_VALUE", f"The run {body['run_id']} must be in 'active' state")
        params = run["data"].setdefault("params", [])
        with self._lock:
            before = {param["key"]: param["value"] for param in params}.get(body["key"], body["value"])
            if before != body["value"]:
                raise _RefusalError(400, "INVALID_PARAMETER_VALUE", "Changing param values is not allowed.")
            params[:] = [p for p in params if p["key"] != body["key"]] + [{"key": body["key"], "value": body["value"]}]

    def _matches(self, run: dict[str, Any], body: dict[str, Any]) -> bool:
        tags = {tag["key"]: tag["value"] for tag in run["data"]["tags"]}
        wanted = re.findall(r"tags\.`([^`]+)` = '([^']*)'", body["filter"])
        return (
            run["info"]["experiment_id"] in body["experiment_ids"]
            and run["info"]["lifecycle_stage"] == "active"
            and all(tags.get(key) == value for key, value in wanted)
        )


def _number(value: float) -> float | str:
    """As protobuf's JSON has it: what is not a finite number is a text."""
    return value if math.isfinite(value) else {"nan": "NaN", "inf": "Infinity", "-inf": "-Infinity"}[str(value)]


def _filtered(text: str) -> str:
    """The name in `name='…'` or `name="…"`. MLflow knows no escapes in it."""
    mark, name = text.removeprefix("name=")[0], text.removeprefix("name=")[1:-1]
    if mark in name or not text.endswith(mark):
        raise _RefusalError(400, "INVALID_PARAMETER_VALUE", f"Invalid filter '{text}'")
    return name


def _json(request: httpx.Request) -> dict[str, str]:
    return dict(json.loads(request.content))


def _version_json(name: str, version: _Version) -> dict[str, Any]:
    entry: dict[str, Any] = {
        "name": name,
        "version": str(version.version),
        "creation_timestamp": version.created,
        "description": "",
        "source": version.source,
        "run_id": version.run_id,
        "status": "READY",
    }
    tags = [{"key": key, "value": value} for key, value in version.tags.items()]
    return entry | ({"tags": tags} if tags else {})
