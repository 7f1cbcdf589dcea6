"""The starter models of this repository: they come in whole, and are what their cards say."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from zipfile import ZipFile

import numpy as np
import pytest

from handful_backup.archive import BackupReader
from handful_core.package import Package, open_package
from handful_core.registry import Registry
from handful_core.registry.starters import STARTER_FILES
from handful_core.runtime.model import load_model
from handful_core.vision.decode import decode_image
from support.mlflow_server import MlflowServer

_MACHINE = re.compile(rb"/(?:home|root|tmp|Users)/[\w.-]+")
_CHECKOUT = re.compile(rb"/[\w./-]+/(?:services|\.venv)/")
_MEGABYTES = 30


@pytest.fixture(scope="module")
def brought(repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Package]]:
    """Their packages by their model's name, from a server that had nothing."""
    folder = tmp_path_factory.mktemp("starter")
    server = MlflowServer(folder / "mlflow").start()
    environment = os.environ | {"HANDFUL_HOME": str(folder / "var"), "HANDFUL_MLFLOW_URI": server.uri}
    packages = {}
    try:
        with Registry(server.uri) as registry, ExitStack() as opened:
            for name, file in STARTER_FILES.items():
                words = [sys.executable, "-m", "handful_core", "import", str(repository / "models" / file)]
                subprocess.run(words, env=environment, check=True)
                version = registry.version(name, "champion")
                assert version.version == 1
                root = registry.download_package(version, folder / name)
                packages[name] = opened.enter_context(open_package(root))
            yield packages
    finally:
        server.stop()


def test_the_starter_model_is_what_its_card_says(brought: dict[str, Package], repository: Path) -> None:
    card = (repository / "models" / "README.md").read_text(encoding="utf-8")
    manifest = brought["fingers"].manifest
    assert manifest.classes == ("0", "1", "2", "3", "4", "5", "unknown")
    assert (manifest.architecture, manifest.input.width, manifest.input.height) == ("yolo11n", 320, 320)
    for name in ("mAP50", "mAP50_95", "precision", "recall", "f1", "count_accuracy"):
        assert f"{manifest.metrics[name]:.3f}" in card, name
    assert f"{manifest.metrics['images']} images" in card
    load_model(brought["fingers"])  # With its golden image.


def test_the_leaves_are_what_their_card_says(brought: dict[str, Package], repository: Path) -> None:
    card = (repository / "models" / "leaves.md").read_text(encoding="utf-8")
    manifest = brought["leaves"].manifest
    assert manifest.classes == ("cercospora", "healthy", "miner", "phoma", "rust")
    assert all(f"`{name}`" in card for name in manifest.classes)
    size = (manifest.input.width, manifest.input.height)
    assert (manifest.architecture, *size) == ("tf_efficientnet_lite0", 416, 208)
    assert manifest.dataset
    assert f"{manifest.dataset.images['train']:,} photos" in card
    model = load_model(brought["leaves"])  # With its golden image.
    answer = model.predict(np.random.default_rng(0).integers(0, 255, (208, 416, 3), np.uint8))
    assert answer.out_of_distribution, "noise is no leaf"
    assert answer.prediction_set


def test_a_training_can_begin_with_the_leaves(brought: dict[str, Package]) -> None:
    from safetensors.torch import load_file

    assert brought["leaves"].manifest.weights
    weights = load_file(brought["leaves"].root / brought["leaves"].manifest.weights)
    assert weights["classifier.weight"].shape == (5, 1280)


def test_a_training_can_begin_with_the_starter_model(brought: dict[str, Package]) -> None:
    fingers = brought["fingers"]
    from handful_trainer.tasks.detection.ultralytics import configure_ultralytics

    configure_ultralytics(fingers.root.parent)
    from ultralytics import YOLO

    assert fingers.manifest.weights
    assert YOLO(str(fingers.root / fingers.manifest.weights)).names[6] == "unknown"


@pytest.mark.parametrize("name", STARTER_FILES)
def test_it_carries_no_photo_and_no_path_of_a_machine(brought: dict[str, Package], repository: Path, name: str) -> None:
    backup, package = repository / "models" / STARTER_FILES[name], brought[name]
    assert backup.stat().st_size < _MEGABYTES * 1_000_000
    assert package.manifest.golden
    golden = decode_image((package.root / package.manifest.golden.image).read_bytes())
    assert golden.shape[1] <= package.manifest.input.width
    with BackupReader(backup) as reader:
        paths = list(reader.manifest.members)
        told = [str(row) for table in ("runs", "params", "tags", "model_versions") for row in reader.rows(table)]
    pictures = [path for path in paths if path.endswith((".jpg", ".jpeg", ".html"))]
    assert [path for path in pictures if not path.endswith("model-card/example.jpg")] == []  # The golden image again.
    assert [line for line in told if _MACHINE.search(line.encode())] == []
    with ZipFile(backup) as archive:
        assert [name for name in archive.namelist() if _CHECKOUT.search(archive.read(name))] == []
    carried = [package.root / file for file in package.manifest.files]
    assert [path.name for path in carried if _MACHINE.search(path.read_bytes())] == []
