"""Layouts that are not the default: exported, and the same as their weights."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from ultralytics import YOLO
from ultralytics.nn.tasks import DetectionModel

from handful_core.package import OutputLayout
from handful_core.vision.agreement import Agreement
from handful_trainer.dataset.prepared import PreparedDataset
from handful_trainer.packaging.build import build_package
from handful_trainer.pipeline.job import TrainingJob
from handful_trainer.pipeline.run_folder import RunFolder
from handful_trainer.tasks.detection.settings import DetectionConfig
from handful_trainer.tasks.detection.ultralytics import configure_ultralytics


# Ultralytics traces the network in C++, where a warning that is raised as an error breaks off.
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("head", [OutputLayout.NMS_FREE, OutputLayout.NMS_IN_GRAPH])
def test_a_layout_is_packaged_and_agrees_with_its_weights(tmp_path: Path, dataset: Path, head: OutputLayout) -> None:
    configure_ultralytics(tmp_path)
    config = DetectionConfig.model_validate(
        {
            "model": {"family": "yolo26", "size": "n", "pretrained": False},
            "dataset": {"source": "yolo", "path": dataset},
            "training": {"imgsz": 64},
            "package": {"head": head.value, "confidence": 0.001, "iou": 0.5},
        }
    )
    prepared = PreparedDataset.open(dataset)
    weights = tmp_path / "weights.pt"
    torch.manual_seed(0)
    untrained = YOLO("yolo26n.yaml")
    untrained.model = DetectionModel("yolo26n.yaml", nc=len(prepared.classes), verbose=False)
    untrained.model.names = dict(enumerate(prepared.classes))
    untrained.save(str(weights))
    built = build_package(TrainingJob(config, prepared, RunFolder(tmp_path), tmp_path, ""), weights)
    assert isinstance(built.parity, Agreement)
    assert built.parity.matched > 0
    manifest = built.package.manifest
    assert (manifest.output.head, manifest.thresholds.class_agnostic) == (head, True)
