"""Layouts that are not the default: exported, and the same as their weights."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from ultralytics import YOLO
from ultralytics.nn.tasks import DetectionModel

from handful_core.package import OutputLayout
from handful_core.runtime.model import load_model
from handful_core.vision.agreement import Agreement
from handful_core.vision.decode import decode_image
from handful_core.vision.preprocess import to_input
from handful_core.vision.reference import read_reference
from handful_trainer.dataset.prepared import PreparedDataset
from handful_trainer.packaging.build import build_package
from handful_trainer.pipeline.job import TrainingJob
from handful_trainer.pipeline.run_folder import RunFolder
from handful_trainer.tasks.detection.settings import DetectionConfig
from handful_trainer.tasks.detection.ultralytics import configure_ultralytics


# Ultralytics traces the network in C++, where a warning that is raised as an error breaks off.
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    ("head", "second_look"),
    [(OutputLayout.NMS_FREE, False), (OutputLayout.NMS_IN_GRAPH, False), (OutputLayout.RAW, True)],
)
def test_a_layout_is_packaged_and_agrees_with_its_weights(
    tmp_path: Path, dataset: Path, head: OutputLayout, second_look: bool
) -> None:
    configure_ultralytics(tmp_path)
    config = DetectionConfig.model_validate(
        {
            "model": {"family": "yolo26", "size": "n", "pretrained": False},
            "dataset": {"source": "yolo", "path": dataset},
            "training": {"imgsz": 64},
            "package": {"head": head.value, "confidence": 0.001, "iou": 0.5, "second_look": second_look},
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
    if second_look:
        assert manifest.output.shape[2] == (64 + 16 + 4) * 2, "64 pixels, and 32 within 64"
    model = load_model(built.package)
    pixels = decode_image(prepared.images("test")[0].read_bytes())
    _, embedding = model.raw(pixels)
    assert embedding is not None
    tensor, _ = to_input(pixels, manifest.input)
    np.testing.assert_allclose(embedding, _pooled_features(untrained.model, tensor), atol=1e-4)
    assert manifest.out_of_distribution is not None
    reference = read_reference(built.package, manifest.out_of_distribution)
    assert model.predict(pixels).distance == pytest.approx(reference.distance(embedding), abs=1e-6)


def _pooled_features(network: DetectionModel, tensor: np.ndarray) -> np.ndarray:
    """The mean over all places of what the last layer of the backbone hands on, by torch itself: (256,)."""
    kept: list[torch.Tensor] = []
    handle = network.model[10].register_forward_hook(lambda layer, given, output: kept.append(output))
    with torch.inference_mode():
        network.eval()(torch.from_numpy(tensor))
    handle.remove()
    pooled: np.ndarray = kept[0].mean(dim=(2, 3))[0].numpy()
    return pooled
