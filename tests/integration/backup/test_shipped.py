"""The starter model of this repository: it comes in whole, and is what its card says."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from handful_backup.archive import BackupReader
from handful_core.package import Package, open_package
from handful_core.registry import Registry
from handful_core.runtime.model import load_model
from handful_core.vision.decode import decode_image
from support.mlflow_server import MlflowServer

_MACHINE = re.compile(rb"/(?:home|root|tmp|Users)/[\w.-]+")
_MEGABYTES = 20


@pytest.fixture(scope="module")
def starter(repository: Path) -> Path:
    return repository / "models" / "starter.zip"


@pytest.fixture(scope="module")
def brought(starter: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Package]:
    """Its package, from a server that had nothing."""
    folder = tmp_path_factory.mktemp("starter")
    server = MlflowServer(folder / "mlflow").start()
    environment = os.environ | {"HANDFUL_HOME": str(folder / "var"), "HANDFUL_MLFLOW_URI": server.uri}
    try:
        subprocess.run([sys.executable, "-m", "handful_core", "import", str(starter)], env=environment, check=True)
        with Registry(server.uri) as registry:
            version = registry.version("fingers", "champion")
            assert version.version == 1
            root = registry.download_package(version, folder / "package")
        with open_package(root) as package:
            yield package
    finally:
        server.stop()


def test_the_starter_model_is_what_its_card_says(brought: Package, repository: Path) -> None:
    card = (repository / "models" / "README.md").read_text(encoding="utf-8")
    manifest = brought.manifest
    assert manifest.classes == ("0", "1", "2", "3", "4", "5", "unknown")
    assert (manifest.architecture, manifest.input.width, manifest.input.height) == ("yolo11n", 320, 320)
    for name in ("mAP50", "mAP50_95", "precision", "recall", "f1", "count_accuracy"):
        assert f"{manifest.metrics[name]:.3f}" in card, name
    assert f"{manifest.metrics['images']} images" in card
    load_model(brought)  # With its golden image.


def test_a_training_can_begin_with_it(brought: Package) -> None:
    from handful_trainer.tasks.detection.ultralytics import configure_ultralytics

    configure_ultralytics(brought.root.parent)
    from ultralytics import YOLO

    assert brought.manifest.weights
    assert YOLO(str(brought.root / brought.manifest.weights)).names[6] == "unknown"


def test_it_carries_no_photo_and_no_path_of_a_machine(brought: Package, starter: Path) -> None:
    assert starter.stat().st_size < _MEGABYTES * 1_000_000
    assert brought.manifest.golden
    golden = decode_image((brought.root / brought.manifest.golden.image).read_bytes())
    assert golden.shape[1] <= brought.manifest.input.width
    with BackupReader(starter) as reader:
        paths = list(reader.manifest.members)
        told = [str(row) for table in ("runs", "params", "tags", "model_versions") for row in reader.rows(table)]
    assert [path for path in paths if path.endswith((".jpg", ".jpeg", ".html"))] == []
    assert [line for line in told if _MACHINE.search(line.encode())] == []
    carried = [brought.root / name for name in brought.manifest.files]
    assert [path.name for path in carried if _MACHINE.search(path.read_bytes())] == []
