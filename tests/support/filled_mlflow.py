"""Fills an MLflow server with some of everything that backups must carry."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
import tempfile
import warnings
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import httpx

_API = "/api/2.0/mlflow"
_STEPS = 1200
"""More than one call takes."""


@dataclass(frozen=True, slots=True)
class Filled:
    """What was made, by name."""

    parent: str
    child: str
    deleted: str
    running: str
    model: str


def fill(uri: str) -> Filled:
    """Fill a server, by MLflow's own client: in a process of its own, as that client keeps much in globals."""
    environment = os.environ | {
        "MLFLOW_TRACKING_URI": uri,
        "MLFLOW_ENABLE_ASYNC_TRACE_LOGGING": "false",
        "PYTHONPATH": str(Path(__file__).parents[1]),
    }
    words = [sys.executable, "-m", "support.filled_mlflow", uri]
    done = subprocess.run(words, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(done.stderr[-4000:])
    return Filled(**json.loads(done.stdout.splitlines()[-1]))


def _fill(uri: str, folder: Path) -> Filled:
    from mlflow import MlflowClient
    from mlflow.entities import Metric, Param, RunTag

    client = MlflowClient(uri, uri)
    fingers = client.create_experiment("fingers", tags={"mlflow.note.content": "Doigts, été, 手"})
    gone = client.create_experiment("gone")
    parent = client.create_run(fingers, start_time=1_700_000_000_000, run_name="sweep").info.run_id
    child = client.create_run(
        fingers, start_time=1_700_000_100_000, tags={"mlflow.parentRunId": parent, "mlflow.user": "ada"}
    ).info.run_id
    points = [Metric("loss", 1 / (step + 1), 1_700_000_200_000 + step, step) for step in range(_STEPS)]
    odd = [math.nan, math.inf, -math.inf, 0.1 + 0.2]
    points += [Metric("odd", value, 1_700_000_300_000, step) for step, value in enumerate(odd)]
    points += [Metric("odd", 5.0, 1_700_000_300_001, 3)]
    for start in range(0, len(points), 1000):
        client.log_batch(child, metrics=points[start : start + 1000])
    params = [Param(f"param {number}", f"{'ü' * 40}{number}") for number in range(90)]
    client.log_batch(child, params=params, tags=[RunTag("mlflow.note.content", "a note\nof two lines")])
    _artifacts(client, child, folder)
    model = _logged_model(client, uri, fingers, child, parent, folder)
    _inputs(client, uri, child, model)
    client.set_terminated(child, "FINISHED", 1_700_000_900_000)
    client.set_terminated(parent, "FAILED", 1_700_000_950_000)
    deleted = client.create_run(fingers).info.run_id
    client.log_metric(deleted, "loss", 3.5)
    client.delete_run(deleted)
    running = client.create_run("0", run_name="under way").info.run_id
    client.log_metric(running, "loss", 0.25)
    lost = client.create_run(gone).info.run_id
    client.log_text(lost, "still here", "note.txt")
    client.delete_experiment(gone)
    _registry(client, uri, child, model)
    _trace(client, fingers)
    return Filled(parent, child, deleted, running, model)


def _artifacts(client: Any, run: str, folder: Path) -> None:
    client.log_text(run, "héllo", "notes/été 100%.txt")
    client.log_text(run, "", "empty.txt")
    big = folder / "weights.bin"
    big.write_bytes(bytes(range(256)) * 8192)
    client.log_artifact(run, str(big), "weights")


def _logged_model(client: Any, uri: str, experiment: str, run: str, other: str, folder: Path) -> str:
    from mlflow.entities import Metric

    with httpx.Client(base_url=uri, timeout=60) as http:
        body = {
            "experiment_id": experiment,
            "name": "model",
            "model_type": "detector",
            "source_run_id": run,
            "params": [{"key": "imgsz", "value": "640"}],
            "tags": [{"key": "quality", "value": "good"}],
        }
        info = http.post(f"{_API}/logged-models", json=body).raise_for_status().json()["model"]["info"]
        name, place = info["model_id"], info["artifact_uri"].removeprefix("mlflow-artifacts:")
        for path, content in (("MLmodel", b"flavors: {}\n"), ("artifacts/model.onnx", bytes(100_000))):
            http.put(f"/api/2.0/mlflow-artifacts/artifacts{place}/{path}", content=content).raise_for_status()
        body = {"model_id": name, "status": "LOGGED_MODEL_READY"}
        http.patch(f"{_API}/logged-models/{name}", json=body).raise_for_status()
    for of in (run, other):
        client.log_batch(of, metrics=[Metric("mAP", 0.75, 1_700_000_400_000, 1, model_id=name)])
    return str(name)


def _inputs(client: Any, uri: str, run: str, model: str) -> None:
    from mlflow.entities import Dataset, DatasetInput, InputTag, LoggedModelInput, LoggedModelOutput

    dataset = Dataset("hands", "0123abcd", "local", '{"uri": "file:///data"}', '{"classes": 7}', '{"images": 3}')
    client.log_inputs(run, [DatasetInput(dataset, [InputTag("mlflow.data.context", "training")])])
    client.log_inputs(run, models=[LoggedModelInput(model)])
    client.log_outputs(run, [LoggedModelOutput(model, 3)])


def _registry(client: Any, uri: str, run: str, model: str) -> None:
    source = f"{client.get_run(run).info.artifact_uri}/weights"
    client.create_registered_model("fingers", tags={"team": "vision"}, description="Counts fingers")
    client.create_model_version("fingers", source, run, tags={"task": "detect"}, description="the first")
    client.create_model_version("fingers", source, run)
    client.create_model_version("fingers", f"models:/{model}", run, model_id=model, tags={"gate": "passed"})
    client.delete_model_version("fingers", "2")
    client.set_registered_model_alias("fingers", "champion", "3")
    client.set_registered_model_alias("fingers", "previous", "1")
    client.create_registered_model("old")
    for _ in range(11):
        client.create_model_version("old", f"models:/{model}", model_id=model)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        client.transition_model_version_stage("old", "9", "Production")
        client.transition_model_version_stage("old", "10", "Production", archive_existing_versions=False)
        client.transition_model_version_stage("old", "11", "Staging")
    client.create_registered_model("alone")
    client.create_model_version("alone", "s3://elsewhere/model", description="made elsewhere, without a run")
    client.register_prompt("greeting", "Hello {{name}}")


def _trace(client: Any, experiment: str) -> None:
    span = client.start_trace("asked", inputs={"question": "how many?"}, experiment_id=experiment)
    client.end_trace(span.trace_id, outputs={"answer": 5})


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as place:
        print(json.dumps(asdict(_fill(sys.argv[1], Path(place)))))
