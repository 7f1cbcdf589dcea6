"""INT8 variants of a real network, and the training's estimate."""

from __future__ import annotations

import json
from pathlib import Path

import onnx
import pytest

from fakes.squares import SCENES, write_squares
from handful_core.package import SeenImages, seen_by, write_package
from handful_core.package.archive import read_folder
from handful_core.runtime.model import load_model
from handful_trainer.dataset.image_hashes import seen_images
from handful_trainer.dataset.prepared import PreparedDataset
from handful_trainer.pipeline.job import TrainingJob
from handful_trainer.pipeline.run_folder import RunFolder
from handful_trainer.tasks.detection.settings import DetectionConfig
from support.training import Trainer


def _untrained(folder: Path, dataset: PreparedDataset) -> Path:
    """A package of a network with random weights."""
    from handful_trainer.packaging.build import build_package
    from handful_trainer.tasks.detection.ultralytics import configure_ultralytics, new_model

    configure_ultralytics(folder / "home")
    config = DetectionConfig.model_validate(
        {
            "dataset": {"source": "yolo", "path": str(dataset.root)},
            "training": {"imgsz": 64},
            "package": {"confidence": 0.01, "weights": False},
        }
    )
    weights = folder / "random.pt"
    new_model(config).save(str(weights))
    job = TrainingJob(config, dataset, RunFolder(folder), folder, "")
    return build_package(job, weights).package.root


@pytest.fixture
def prepared(tmp_path: Path) -> PreparedDataset:
    return PreparedDataset.open(write_squares(tmp_path / "squares", SCENES))


@pytest.mark.filterwarnings("ignore")  # Torch warns while it traces a network; in a process of its own it goes unseen.
def test_an_int8_variant_is_measured_beside_its_original(tmp_path: Path, prepared: PreparedDataset) -> None:
    from handful_trainer.tasks.detection.quantize import quantize

    package = read_folder(_untrained(tmp_path, prepared))
    variant = quantize(package, prepared, tmp_path / "int8" / "package", images=4)
    assert variant.package.manifest.precision == "int8"
    assert variant.package.manifest.golden is not None
    assert seen_by(variant.package) == seen_by(package)
    assert len(seen_by(package).phashes) == 2 * len(SCENES)
    assert variant.bytes < 0.6 * variant.original_bytes
    assert min(variant.ms, variant.original_ms) > 0
    graph = onnx.load(variant.package.model_path).graph
    quantized = {node.name for node in graph.node if node.op_type == "QuantizeLinear"}
    assert quantized
    head = max(int(node.name.split("/model.")[1].split("/")[0]) for node in graph.node if "/model." in node.name)
    convolutions = [n for n in graph.node if n.op_type == "Conv" and f"/model.{head}/" in n.name]
    assert convolutions
    assert not any("DequantizeLinear" in node.input[1] for node in convolutions)  # The weights.
    load_model(read_folder(variant.package.root))  # With its golden image.


@pytest.mark.filterwarnings("ignore")
def test_what_calibrates_has_been_seen(tmp_path: Path, prepared: PreparedDataset) -> None:
    from handful_trainer.tasks.detection.quantize import quantize

    package = read_folder(_untrained(tmp_path, prepared))
    update = {"seen": None, "schema_version": "1.1"}
    unlisted = write_package(package.root, package.manifest.model_copy(update=update))
    variant = quantize(unlisted, prepared, tmp_path / "int8" / "package", images=4)
    assert seen_by(variant.package) == SeenImages(seen_images(prepared).phashes, complete=False)
    assert variant.package.manifest.schema_version == "1.2"


def test_what_a_training_would_take(trainer: Trainer) -> None:
    done = trainer.run("train", *trainer.anew("training.epochs=50"), "--dry-run")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert (found["epochs"], found["batches"], found["train_images"]) == (50, 1, len(SCENES))
    assert found["parameters"] > 2_000_000
    assert found["seconds"] == pytest.approx(50 * found["epoch_seconds"])
    assert found["epoch_seconds"] > found["batch_seconds"] > 0
    assert 0 < found["memory_bytes"] < found["memory_available"]
    assert not (trainer.home / "runs").exists()
