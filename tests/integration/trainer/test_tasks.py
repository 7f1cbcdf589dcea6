"""The task seam: a task that nothing in the trainer knows goes all the way, and a classifier from elsewhere too."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import cv2
import httpx
import numpy as np
import pytest
import yaml
from mlflow.tracking import MlflowClient

from fakes.exports import PicselliaExport
from fakes.packages import build_package, encode, filled
from fakes.toy_task import install_toy_task
from handful_core.package.archive import read_folder
from handful_core.registry import CHAMPION, Registry
from support.mlflow_server import MlflowServer
from support.serving_process import ServingProcess

COLOURS = {"red": (40, 40, 220), "green": (40, 200, 40), "blue": (220, 60, 30)}
"""BGR."""


def photo(name: str, seed: int) -> np.ndarray:
    """A noisy picture, mostly of one colour."""
    noise = np.random.default_rng(seed).normal(0, 30, (40, 56, 3))
    return np.clip(np.float32(COLOURS[name]) + noise, 0, 255).astype(np.uint8)


@pytest.fixture
def export(tmp_path: Path) -> Path:
    """A Picsellia export whose images are classified as a whole, and one that nobody classified."""
    made = PicselliaExport(tmp_path / "colours")
    for seed in range(60):
        name = list(COLOURS)[seed % 3]
        asset_id = f"asset-{seed:02d}"
        made.add(asset_id, content=cv2.imencode(".jpg", photo(name, seed))[1].tobytes())
        made.annotations[asset_id][0]["classifications"] = [{"label": name}]
    made.add("nobody", content=cv2.imencode(".jpg", photo("red", 99))[1].tobytes())
    return made.write()


class Handful:
    """`handful` with a home of its own, against a real MLflow server."""

    def __init__(self, root: Path, uri: str, monkeypatch: pytest.MonkeyPatch) -> None:
        self.root, self.uri = root, uri
        monkeypatch.setenv("HANDFUL_HOME", str(root / "home"))
        monkeypatch.setenv("HANDFUL_MLFLOW_URI", uri)

    def handful(self, *words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "handful_core", *words], capture_output=True, text=True, check=False
        )

    def answer(self, *words: str) -> dict:  # type: ignore[type-arg]
        done = self.handful(*words, "--json")
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)  # type: ignore[no-any-return]


@pytest.fixture
def house(tmp_path: Path, shared_server: MlflowServer, monkeypatch: pytest.MonkeyPatch) -> Handful:
    return Handful(tmp_path, shared_server.uri, monkeypatch)


def test_a_task_that_nothing_knows_goes_all_the_way(
    house: Handful, export: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install_toy_task(tmp_path / "installed", monkeypatch)
    config = tmp_path / "toy.yaml"
    content = {
        "task": "toy",
        "dataset": {"source": "picsellia-export", "path": str(export), "classes": list(COLOURS)},
        "mlflow": {"experiment": tmp_path.name, "model_name": tmp_path.name},
        "gate": {"min_images": 1},
    }
    config.write_text(yaml.safe_dump(content))

    prepared = house.answer("data", "prepare", "--config", str(config))
    assert (prepared["task"], prepared["usable_images"], prepared["unlabelled"]) == ("toy", 60, 1)
    assert (
        sum(1 for _ in Path(prepared["folder"]).glob("train/red/*.jpg"))
        == prepared["splits"]["train"]["labels_per_class"]["red"]
    )

    trained = house.answer("train", "--config", str(config))
    assert (trained["version"], trained["promoted"]) == (1, True)
    assert trained["metrics"]["accuracy"] == 1
    run = MlflowClient(house.uri).get_run(trained["run_id"])
    assert run.info.status == "FINISHED"
    assert (run.data.params["task"], run.data.params["toy.size"]) == ("toy", "32")
    assert run.data.metrics["test/class/red/f1"] == 1
    assert run.data.tags["parity"].startswith("worst gap")

    with Registry(house.uri) as registry:
        version = registry.version(tmp_path.name, CHAMPION)
        package = read_folder(registry.download_package(version, tmp_path / "again"))
    assert package.manifest.architecture == "mean-colour"
    assert package.manifest.golden
    assert package.manifest.golden.probabilities

    again = house.answer("train", "--config", str(config))
    assert (again["version"], again["promoted"]) == (2, False), "it is as good, not better"
    assert (again["gate"]["decision"], again["gate"]["interval"]) == ("kept", [0, 0])
    assert house.answer("reproduce", trained["run_id"])["same"] is True

    judged = house.answer("evaluate", "--data", prepared["folder"], "--package", str(package.root))
    assert judged["accuracy"] == 1
    moved = house.answer(
        "register", str(package.root), "--data", prepared["folder"], "--name", f"{tmp_path.name}-other"
    )
    assert moved["promoted"] is True

    serving = ServingProcess(tmp_path / "serving", house.uri).start()
    try:
        image = encode(photo("blue", 1000))
        answer = httpx.post(f"{serving.url}/predict", params={"model": tmp_path.name}, files={"image": image}).json()
        assert (answer["task"], answer["probabilities"][0]["name"]) == ("classify", "blue")
    finally:
        serving.stop()


def test_a_classifier_from_elsewhere_is_judged_registered_gated_and_served(house: Handful, tmp_path: Path) -> None:
    # What it answers under MLflow: see test_pyfunc.
    classes = ("apple", "pear", "plum")
    package = build_package(tmp_path / "package", head="logits", name="fruit", classes=classes, counts={})
    folder = tmp_path / "fruit"
    for name in classes:
        (folder / "test" / name).mkdir(parents=True)
        for number in range(3):
            (folder / "test" / name / f"{number}.png").write_bytes(encode(filled(name, classes)))
    judged = house.answer("evaluate", "--data", str(folder), "--package", str(package.root))
    assert judged["accuracy"] == judged["macro_f1"] == 1
    assert judged["per_class"]["pear"] == {"labels": 3, "precision": 1, "recall": 1, "f1": 1}

    name = tmp_path.name
    done = house.answer("register", str(package.root), "--data", str(folder), "--name", name)
    assert done["promoted"] is True
    with Registry(house.uri) as registry:
        tags = registry.version(name, CHAMPION).tags
    assert (tags["gate.metric"], tags["task"]) == ("macro_f1", "classify")
    words = ("register", str(package.root), "--data", str(folder), "--name", name)
    same = house.answer(*words, "--min-images", "9")
    assert (same["promoted"], same["gate"]["decision"], same["gate"]["compared"]) == (False, "kept", 9)
    few = house.answer(*words)
    assert (few["promoted"], few["gate"]["decision"]) == (False, "undecided")
    assert few["reason"].endswith(f"handful promote {name} 3")
    refused = house.handful("register", str(package.root), "--data", str(folder), "--metric", "mAP50")
    assert refused.returncode == 2
    assert "--metric mAP50 is not one of macro_f1, accuracy, top5" in refused.stderr

    serving = ServingProcess(tmp_path / "serving", house.uri).start()
    try:
        files = {"image": encode(filled("pear", classes))}
        answer = httpx.post(f"{serving.url}/predict", params={"model": name}, files=files).json()
        assert answer["probabilities"][0]["name"] == "pear"
    finally:
        serving.stop()


def test_a_task_that_is_not_installed_is_named(house: Handful, tmp_path: Path) -> None:
    config = tmp_path / "toy.yaml"
    config.write_text("task: toys\ndataset: {source: sample}\n")
    done = house.handful("train", "--config", str(config))
    assert done.returncode == 2
    assert "there is no task 'toys': the tasks are detect, classify" in done.stderr


def test_boxes_and_classes_do_not_mix(house: Handful, tmp_path: Path) -> None:
    package = build_package(tmp_path / "package")
    folder = tmp_path / "fruit" / "test" / "apple"
    folder.mkdir(parents=True)
    (folder / "1.png").write_bytes(encode(filled("1")))
    done = house.handful("evaluate", "--data", str(tmp_path / "fruit"), "--package", str(package.root))
    assert done.returncode == 3
    assert "the model's task is detect, the dataset has classes: name a classifier" in done.stderr
