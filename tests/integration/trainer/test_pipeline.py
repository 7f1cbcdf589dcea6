"""Real trainings: Ultralytics, a real MLflow server, a real `handful train` in a process of its own."""

from __future__ import annotations

import base64
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from mlflow.entities import Run
from mlflow.tracking import MlflowClient

from fakes.packages import encode, picture
from fakes.squares import SCENES, write_squares
from handful_core.package import Package, seen_by
from handful_core.package.archive import read_folder, sha256_of
from handful_core.registry import CHAMPION, Registry
from support.mlflow_server import MlflowServer
from support.training import EPOCHS, Trainer


def test_a_training_goes_all_the_way(trainer: Trainer) -> None:
    outcome = trainer.finish(trainer.start(*trainer.anew()))
    assert outcome["promoted"] is True
    assert outcome["version"] == 1
    run = trainer.mlflow_run()
    assert run.info.status == "FINISHED"
    assert run.info.run_id == outcome["run_id"]
    _check_what_was_logged(run, MlflowClient(trainer.uri))
    with Registry(trainer.uri) as registry:
        version = registry.version(trainer.name, CHAMPION)
        package = read_folder(registry.download_package(version, trainer.home / "again"))
    assert version.tags["gate.decision"] == "promoted"
    assert package.manifest.mlflow_run_id == run.info.run_id
    assert package.manifest.metrics["images"] == len(SCENES)
    assert package.manifest.counts, "and so an object is one box:"
    assert package.manifest.thresholds.class_agnostic is True
    files = {"model.onnx", "weights.pt", "golden.png", "seen.csv", "reference.npy", "profile.json", "projection.npy"}
    assert files == set(package.manifest.files)
    _check_what_was_seen(trainer, package)
    places = (str(trainer.home.parent).encode(), str(Path.cwd()).encode())
    assert not [name for name in package.manifest.files if any(p in (package.root / name).read_bytes() for p in places)]
    _check_pyfunc(trainer.uri, trainer.name)


def _check_what_was_seen(trainer: Trainer, package: Package) -> None:
    seen = seen_by(package)
    files = [path for split in ("train", "val") for path in (trainer.dataset / "images" / split).iterdir()]
    assert seen.phashes.keys() == {sha256_of(path) for path in files}
    assert seen.complete


def test_what_the_base_has_seen_comes_along(trainer: Trainer, tmp_path: Path) -> None:
    """A base with weights of its own network, which it would have if another training had made it."""
    trainer.finish(trainer.start(*trainer.anew("training.epochs=1")))
    other = write_squares(tmp_path / "other", (*SCENES[:-1], {(7, 7): "1"}))
    reference = f"model.pretrained=models:/{trainer.name}/1"
    outcome = trainer.finish(trainer.start(*trainer.anew("training.epochs=1", reference, f"dataset.path={other}")))
    with Registry(trainer.uri) as registry:
        version = registry.version(trainer.name, outcome["version"])
        package = read_folder(registry.download_package(version, trainer.home / "again"))
    folders = [root / "images" / split for root in (trainer.dataset, other) for split in ("train", "val")]
    assert seen_by(package).phashes.keys() == {sha256_of(path) for folder in folders for path in folder.iterdir()}
    assert seen_by(package).complete


def _check_what_was_logged(run: Run, client: MlflowClient) -> None:
    data = run.data
    assert (data.params["training.imgsz"], data.params["ultralytics.epochs"]) == ("64", str(EPOCHS))
    assert data.params["package.torch"]
    assert data.params["hardware.cpus"]
    assert data.params["ultralytics.optimizer_used"]
    assert data.tags["lock"]
    assert data.metrics["package/latency_ms_p50"] > 0
    assert {"train/box_loss", "val/mAP50_95", "lr/pg0", "test/mAP50", "test/count_accuracy"} <= set(data.metrics)
    assert [m.step for m in client.get_metric_history(run.info.run_id, "val/mAP50")] == [1, 2]
    (dataset,) = run.inputs.dataset_inputs
    assert data.tags["dataset.fingerprint"].startswith(dataset.dataset.digest)
    folders = {item.path: item for item in client.list_artifacts(run.info.run_id)}
    assert {"config", "dataset", "environment", "evaluation", "plots", "weights"} <= set(folders)
    names = {item.path for item in client.list_artifacts(run.info.run_id, "evaluation")}
    assert {"evaluation/metrics.json", "evaluation/confusion_matrix.png", "evaluation/test_pictures.html"} <= names


def _check_pyfunc(uri: str, name: str) -> None:
    """In a process of its own: loading a pyfunc model leaves its code on sys.path."""
    script = (
        "import sys, mlflow, pandas\n"
        "mlflow.set_tracking_uri(sys.argv[1])\n"
        "model = mlflow.pyfunc.load_model(sys.argv[3])\n"
        "answer = model.predict(pandas.DataFrame({'image': [sys.argv[2]]}), params={'confidence': 0.99})\n"
        "print(answer.to_json(orient='records'))\n"
    )
    image = base64.b64encode(encode(picture({(1, 1): "2"}))).decode()
    result = subprocess.run(
        [sys.executable, "-c", script, uri, image, f"models:/{name}@champion"],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert result.returncode == 0, result.stderr
    assert json.loads(result.stdout.splitlines()[-1]) == [{"count": 0, "detections": "[]"}]


def test_a_killed_training_is_marked_and_goes_on_in_the_same_run(trainer: Trainer) -> None:
    process = trainer.start(*trainer.anew("training.epochs=12", "package.weights=false"))
    trainer.wait_for(lambda: len(trainer.epochs_logged()) >= 2, process)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    deadline = time.monotonic() + 30
    while trainer.mlflow_run().info.status != "KILLED" and time.monotonic() < deadline:
        time.sleep(0.2)
    assert trainer.mlflow_run().info.status == "KILLED"
    assert max(trainer.epochs_logged()) < 12
    outcome = trainer.finish(trainer.start("--resume"))
    run = trainer.mlflow_run()
    assert run.info.run_id == outcome["run_id"]
    assert run.info.status == "FINISHED"
    assert sorted(set(trainer.epochs_logged())) == list(range(1, 13))


def test_ctrl_c_ends_in_order(trainer: Trainer) -> None:
    process = trainer.start(*trainer.anew("training.epochs=100"))
    trainer.wait_for(lambda: len(trainer.epochs_logged()) >= 1, process)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    assert out == ""
    assert "handful train --resume" in err
    assert "Traceback" not in err
    assert trainer.mlflow_run().info.status == "KILLED"


def test_a_lost_mlflow_does_not_end_a_training(
    make_trainer: Callable[[str], Trainer], own_server: MlflowServer
) -> None:
    trainer = make_trainer(own_server.uri)
    process = trainer.start(*trainer.anew("training.epochs=8"))
    trainer.wait_for(lambda: len(trainer.epochs_logged()) >= 1, process)
    own_server.kill()
    results = trainer.home / "runs" / "run" / "yolo" / "results.csv"
    before = len(results.read_text().splitlines())
    trainer.wait_for(lambda: len(results.read_text().splitlines()) > before + 1, process)
    own_server.start()
    assert trainer.finish(process)["promoted"] is True
    assert trainer.epochs_logged() == list(range(1, 9))
    assert trainer.mlflow_run().info.status == "FINISHED"


def test_without_mlflow_nothing_begins(make_trainer: Callable[[str], Trainer]) -> None:
    trainer = make_trainer("http://127.0.0.1:9")
    process = trainer.start(*trainer.anew())
    _, err = process.communicate(timeout=120)
    assert process.returncode == 5
    assert err.strip().splitlines()[-1].startswith("error: MLflow at http://127.0.0.1:9 does not answer: start it")
    assert not (trainer.home / "runs").exists()
