"""What a registered package answers through MLflow: `mlflow.pyfunc.load_model` and `mlflow models serve`."""

from __future__ import annotations

import base64
import json
import os
import re
import signal
import subprocess
import sys
import time
import uuid
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx
import pytest
from mlflow.models import get_model_info
from mlflow.tracking import MlflowClient

from fakes.graphs import Layout
from fakes.packages import CLASSES, build_package, encode, filled, picture
from handful_trainer.registration.mlflow_model import register_package
from support.mlflow_server import MlflowServer, free_port

_LOAD = """
import sys, mlflow, pandas
mlflow.set_tracking_uri(sys.argv[1])
model = mlflow.pyfunc.load_model(sys.argv[2])
print(model.predict(pandas.DataFrame({"image": sys.argv[3:]})).to_json(orient="records"))
"""


def registered(uri: str, folder: Path, head: Layout) -> str:
    """Register a package with this output layout; the model's address."""
    client, name = MlflowClient(uri), f"pyfunc-{uuid.uuid4().hex[:8]}"
    run = client.create_run(client.create_experiment(name)).info.run_id
    version = register_package(uri, build_package(folder / "package", head), name, run)
    return f"models:/{name}/{version.version}"


def text(pixels: Any) -> str:
    return base64.b64encode(encode(pixels)).decode()


def columns(model: str) -> list[str]:
    signature = get_model_info(model).signature
    assert signature is not None
    return list(signature.outputs.input_names())


def loaded(uri: str, model: str, *images: str) -> list[dict[str, Any]]:
    """In a process of its own: loading a pyfunc model leaves its code on sys.path."""
    words = [sys.executable, "-c", _LOAD, uri, model, *images]
    done = subprocess.run(words, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
    rows: list[dict[str, Any]] = json.loads(done.stdout.splitlines()[-1])
    return rows


def check_classified(rows: list[dict[str, Any]], names: list[str]) -> None:
    for row, name in zip(rows, names, strict=True):
        assert list(row) == ["count", "detections", "probabilities"]
        assert (row["count"], row["detections"]) == (-1, "[]")
        ranked = json.loads(row["probabilities"])
        assert ranked[0]["name"] == name
        assert ranked[0]["class"] == CLASSES.index(name)
        assert sorted(item["name"] for item in ranked) == sorted(CLASSES)
        assert sum(item["probability"] for item in ranked) == pytest.approx(1, abs=1e-3)


@pytest.mark.parametrize("head", ["probabilities", "logits"])
def test_a_classifier_answers_its_probabilities(tmp_path: Path, shared_server: MlflowServer, head: Layout) -> None:
    model = registered(shared_server.uri, tmp_path, head)
    assert columns(model) == ["count", "detections", "probabilities"]
    check_classified(loaded(shared_server.uri, model, text(filled("2")), text(filled("5"))), ["2", "5"])


def test_a_detector_answers_count_and_detections_alone(tmp_path: Path, shared_server: MlflowServer) -> None:
    model = registered(shared_server.uri, tmp_path, "raw")
    assert columns(model) == ["count", "detections"]
    (row,) = loaded(shared_server.uri, model, text(picture({(1, 1): "2"})))
    assert list(row) == ["count", "detections"]
    assert row["count"] == 2
    assert [found["name"] for found in json.loads(row["detections"])] == ["2"]


_FORMS = """
import base64, json, pathlib, sys
import mlflow, numpy as np, pandas as pd
from PIL import Image

mlflow.set_tracking_uri(sys.argv[1])
model = mlflow.pyfunc.load_model(sys.argv[2])
path = pathlib.Path(sys.argv[3])
photo = Image.open(path)
text = base64.b64encode(path.read_bytes()).decode()
forms = {"path": path, "bytes": path.read_bytes(), "array": np.asarray(photo), "PIL": photo, "text": text}
counts = {}
for name, image in forms.items():
    for table in (pd.DataFrame({"image": [image, image]}), {"image": [image, image]}):
        counts.setdefault(name, []).extend(model.predict(table)["count"].tolist())
try:
    model.predict({"image": [str(path)]})
except Exception as error:
    counts["a name as text"] = str(error)
print(json.dumps(counts))
"""


def test_an_image_comes_in_every_form(tmp_path: Path, shared_server: MlflowServer) -> None:
    model = registered(shared_server.uri, tmp_path, "raw")
    (tmp_path / "hand.png").write_bytes(encode(picture({(1, 1): "2", (3, 3): "5"})))
    words = [sys.executable, "-c", _FORMS, shared_server.uri, model, str(tmp_path / "hand.png")]
    done = subprocess.run(words, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
    counts = json.loads(done.stdout.splitlines()[-1])
    # Text names no file: whoever reaches `mlflow models serve` could have its files read.
    assert "holds no base64 text" in counts.pop("a name as text")
    assert counts == {name: [7] * 4 for name in ("path", "bytes", "array", "PIL", "text")}


@pytest.mark.skipif(sys.platform == "win32", reason="the server's process group is ended by a signal")
def test_mlflow_models_serve_answers_a_classifiers_probabilities(tmp_path: Path, shared_server: MlflowServer) -> None:
    model, port = registered(shared_server.uri, tmp_path, "probabilities"), free_port()
    words = [sys.executable, "-m", "mlflow", "models", "serve", "-m", model, "--env-manager", "local"]
    words += ["--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    # MLflow calls uvicorn by its name.
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = os.environ | {"MLFLOW_TRACKING_URI": shared_server.uri, "PATH": path}
    with (tmp_path / "serve.log").open("wb") as log:
        process = subprocess.Popen(words, stdout=log, stderr=log, env=environment, start_new_session=True)
    try:
        _wait_for(f"http://127.0.0.1:{port}/ping", process, tmp_path / "serve.log")
        body = {"dataframe_records": [{"image": text(filled("5"))}]}
        answer = httpx.post(f"http://127.0.0.1:{port}/invocations", json=body, timeout=60)
        assert answer.status_code == 200, answer.text
        check_classified(answer.json()["predictions"], ["5"])
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _wait_for(address: str, process: subprocess.Popen[bytes], log: Path) -> None:
    ends = time.monotonic() + 120
    while time.monotonic() < ends and process.poll() is None:
        try:
            if httpx.get(address, timeout=5).status_code == 200:
                return
        except httpx.TransportError:
            time.sleep(0.2)
    pytest.fail(log.read_text(errors="replace")[-2000:])


def test_run_model_and_version_have_a_model_card(tmp_path: Path, shared_server: MlflowServer) -> None:
    client = MlflowClient(shared_server.uri)
    name, number = registered(shared_server.uri, tmp_path, "raw").removeprefix("models:/").split("/")
    version = client.get_model_version(name, number)
    assert version.description.startswith(f"# {name}, version 1\n")
    assert f'handful.load("models:/{name}/1")' in version.description
    assert "| unknown |  |" in version.description, "a class that counts nothing"
    assert client.get_run(version.run_id).data.tags["mlflow.note.content"] == version.description
    assert "the version that is served" in client.get_registered_model(name).description
    address = re.search(r"\((get-artifact\?[^)]+)\)", version.description)
    assert address is not None
    picture = httpx.get(f"{shared_server.uri}/{address[1]}")
    assert picture.content.startswith(b"\xff\xd8"), picture.text
