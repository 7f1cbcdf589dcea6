"""Classifiers: Lightning and timm, a real MLflow server, a real `handful train` in a process of its own."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import cv2
import httpx
import pytest
import torch
from mlflow.tracking import MlflowClient

from fakes.exports import PicselliaExport
from fakes.packages import encode
from handful_core.package import seen_by
from handful_core.package.archive import read_folder
from handful_core.registry import CHAMPION, Registry
from handful_trainer.tasks.classification.network import read_weights
from support.mlflow_server import MlflowServer
from support.serving_process import ServingProcess
from support.small_disk import fill, small_disk
from support.small_leaves import COLOURS, NETWORK, leaf
from support.training import EPOCHS, Trainer

METRIC = "val/macro_f1"


@pytest.fixture(scope="module")
def leaves(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Picsellia export whose images are classified as a whole, and one that nobody classified."""
    made = PicselliaExport(tmp_path_factory.mktemp("export") / "leaves")
    for seed in range(60):
        name, asset_id = list(COLOURS)[seed % 3], f"asset-{seed:02d}"
        made.add(asset_id, content=cv2.imencode(".jpg", leaf(name, seed))[1].tobytes())
        made.annotations[asset_id][0]["classifications"] = [{"label": name}]
    made.add("nobody", content=cv2.imencode(".jpg", leaf("rust", 99))[1].tobytes())
    return made.write()


@pytest.fixture
def trainer(tmp_path: Path, leaves: Path, shared_server: MlflowServer) -> Iterator[Trainer]:
    content = {
        "task": "classify",
        "model": {"architecture": NETWORK},
        "dataset": {
            "source": "picsellia-export",
            "path": str(leaves),
            "classes": list(COLOURS),
            "split": {"train": 0.6, "val": 0.2, "test": 0.2},
        },
        "training": {"epochs": EPOCHS, "imgsz": 32, "batch": 6, "lr": 0.003},
        "gate": {"min_images": 3},
    }
    made = Trainer(tmp_path, leaves, shared_server.uri, content, METRIC)
    yield made
    made.end_all()


def test_a_classifier_goes_all_the_way(trainer: Trainer, tmp_path: Path) -> None:
    outcome = trainer.finish(trainer.start(*trainer.anew("training.epochs=4")))
    assert (outcome["version"], outcome["promoted"]) == (1, True)
    assert outcome["metrics"]["macro_f1"] > 0.5, "colours are easy"
    run = trainer.mlflow_run()
    assert (run.info.status, run.info.run_id) == ("FINISHED", outcome["run_id"])
    params, metrics = run.data.params, run.data.metrics
    assert (params["task"], params["model.architecture"], params["training.imgsz"]) == ("classify", NETWORK, "32")
    assert params["lightning.device"]
    assert {"package.lightning", "package.timm", "package.torch"} <= set(params)
    assert {"train/loss", "val/loss", METRIC, "lr", "test/macro_f1", "test/class/rust/f1"} <= set(metrics)
    measured = {"ece", "roc_auc", "average_precision", "weighted_f1", "set_coverage", "set_size", "out_of_distribution"}
    assert {f"test/{name}" for name in measured} <= set(metrics)
    assert trainer.epochs_logged() == [1, 2, 3, 4]
    assert run.data.tags["parity"].startswith("12 first classes and 12 prediction sets of 12 agree")
    client = MlflowClient(trainer.uri)
    names = {item.path for folder in ("plots", "weights") for item in client.list_artifacts(run.info.run_id, folder)}
    assert names == {"plots/results.csv", "plots/results.png", "weights/best.safetensors"}
    charts = {"confusion_matrix.png", "pr_curves.png", "reliability.png"}
    pages = {item.path.split("/")[1] for item in client.list_artifacts(run.info.run_id, "evaluation")}
    assert pages == {"metrics.json", "predictions.csv", "test_pictures.html", *charts}

    with Registry(trainer.uri) as registry:
        version = registry.version(trainer.name, CHAMPION)
        package = read_folder(registry.download_package(version, tmp_path / "again"))
    assert version.tags["gate.metric"] == "macro_f1"
    manifest = package.manifest
    assert (manifest.task, manifest.architecture, set(manifest.classes)) == ("classify", NETWORK, set(COLOURS))
    ours = {"golden.png", "seen.csv", "reference.npy", "profile.json", "projection.npy"}
    assert {"model.onnx", "weights.safetensors"} | ours == set(manifest.files)
    assert seen_by(package).complete
    assert len(seen_by(package).phashes) == 48
    places = (str(trainer.home.parent).encode(), str(Path.cwd()).encode())
    assert not [name for name in manifest.files if any(p in (package.root / name).read_bytes() for p in places)]

    prepared = client.get_run(run.info.run_id).inputs.dataset_inputs[0].dataset
    folder = json.loads(prepared.source)["uri"].removeprefix("file://")
    done = trainer.run("evaluate", "--data", folder, "--model", f"models:/{trainer.name}@champion")
    assert done.returncode == 0, done.stderr
    judged = json.loads(done.stdout)
    assert judged["macro_f1"] == pytest.approx(outcome["metrics"]["macro_f1"])
    assert measured <= manifest.metrics.keys() <= judged.keys()
    assert judged["ece"] == pytest.approx(metrics["test/ece"]) == manifest.metrics["ece"]

    image = tmp_path / "leaf.png"
    image.write_bytes(encode(leaf("yellow", 1000)))
    done = trainer.run("predict", str(image), "--package", str(package.root))
    assert done.returncode == 0, done.stderr
    serving = ServingProcess(tmp_path / "serving", trainer.uri).start()
    try:
        words = {"params": {"model": trainer.name}, "files": {"image": image.read_bytes()}}
        answer = httpx.post(f"{serving.url}/predict", **words).json()  # type: ignore[arg-type]
    finally:
        serving.stop()
    assert answer["task"] == "classify"
    assert {entry["name"] for entry in answer["probabilities"]} == set(COLOURS)


def test_a_second_training_begins_with_the_first_and_meets_it_at_the_gate(trainer: Trainer) -> None:
    trainer.finish(trainer.start(*trainer.anew()))
    again = trainer.anew("training.epochs=1", "training.lr=1e-9", f"model.pretrained=models:/{trainer.name}@champion")
    outcome = trainer.finish(trainer.start(*again))
    assert (outcome["version"], outcome["gate"]["compared"]) == (2, 12)
    with Registry(trainer.uri) as registry:
        packages = [
            read_folder(registry.download_package(registry.version(trainer.name, number), trainer.home / str(number)))
            for number in (1, 2)
        ]
    assert seen_by(packages[1]).complete
    first, second = (
        dict(read_weights(package.root / "weights.safetensors")[0].named_parameters()) for package in packages
    )
    assert all(torch.allclose(first[key], second[key], atol=1e-6) for key in first), "it learnt next to nothing more"


def test_a_killed_training_goes_on_in_the_same_run(trainer: Trainer) -> None:
    process = trainer.start(*trainer.anew("training.epochs=30", "training.patience=0", "package.weights=false"))
    trainer.wait_for(lambda: len(trainer.epochs_logged()) >= 2, process)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    deadline = time.monotonic() + 30
    while trainer.mlflow_run().info.status != "KILLED" and time.monotonic() < deadline:
        time.sleep(0.2)
    assert trainer.mlflow_run().info.status == "KILLED"
    assert max(trainer.epochs_logged()) < 30
    outcome = trainer.finish(trainer.start("--resume"))
    run = trainer.mlflow_run()
    assert (run.info.run_id, run.info.status) == (outcome["run_id"], "FINISHED")
    assert sorted(set(trainer.epochs_logged())) == list(range(1, 31))
    with Registry(trainer.uri) as registry:
        package = registry.download_package(registry.version(trainer.name, CHAMPION), trainer.home / "again")
    assert "weights.safetensors" not in read_folder(package).manifest.files


def test_a_full_disk_ends_it_and_nothing_is_lost(trainer: Trainer, tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", 200) as disk:
        trainer.environment["HANDFUL_HOME"] = str(disk)
        process = trainer.start(*trainer.anew("training.epochs=40", "training.patience=0"))
        trainer.wait_for(lambda: len(trainer.epochs_logged()) >= 2, process)
        ballast = fill(disk)
        out, err = process.communicate(timeout=120)
        assert (process.returncode, out) == (6, "")
        assert err.rstrip().split("\n")[-1] == (
            "error: the disk is full: make room, then go on with handful train --resume"
        )
        assert "Traceback" not in err
        deadline = time.monotonic() + 30
        while trainer.mlflow_run().info.status == "RUNNING" and time.monotonic() < deadline:
            time.sleep(0.2)
        assert trainer.mlflow_run().info.status == "FAILED"
        ballast.unlink()
        process = trainer.start("--resume")
        outcome = trainer.finish(process)
        run = trainer.mlflow_run()
        assert (run.info.run_id, run.info.status) == (outcome["run_id"], "FINISHED")
        assert sorted(set(trainer.epochs_logged())) == list(range(1, 41))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_in_order(trainer: Trainer, number: int) -> None:
    process = trainer.start(*trainer.anew("training.epochs=1000", "training.patience=0"))
    trainer.wait_for(lambda: len(trainer.epochs_logged()) >= 1, process)
    process.send_signal(number)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out) == (130, "")
    assert "handful train --resume" in err
    assert "Traceback" not in err
    assert trainer.mlflow_run().info.status == "KILLED"


def test_a_dry_run_says_what_it_would_take(trainer: Trainer) -> None:
    done = trainer.run("train", *trainer.anew(), "--dry-run")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert (found["train_images"], found["val_images"], found["batches"]) == (36, 12, 6)
    assert found["parameters"] > 90_000
    assert found["seconds"] == pytest.approx(EPOCHS * found["epoch_seconds"])
    assert "INFO" not in done.stderr
    assert "warning" not in done.stderr.lower()


def test_a_training_is_reproduced(trainer: Trainer) -> None:
    outcome = trainer.finish(trainer.start(*trainer.anew()))
    done = trainer.run("reproduce", outcome["run_id"])
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["same"] is True


def test_a_search_finds_settings(trainer: Trainer, tmp_path: Path) -> None:
    search = tmp_path / "search.yaml"
    search.write_text("search:\n  training.lr: {choices: [0.000000001, 0.003]}\n")
    words = ("--config", str(trainer.config), "--search", str(search), "--trials", "2", "--name", trainer.name)
    done = trainer.run("tune", *words)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["best"] == {"training.lr": 0.003}


def test_weights_of_another_network_end_it_before_the_training(trainer: Trainer) -> None:
    done = trainer.run("train", *trainer.anew("model.pretrained=resnet50"))
    assert done.returncode == 2
    assert "resnet50 are weights of another network than test_efficientnet" in done.stderr
