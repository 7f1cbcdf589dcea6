"""Ultralytics' trainer on a network of four layers and six images: what a setting changes shows in the weights."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import yaml

from handful_trainer.tasks.detection.settings import DetectionConfig
from handful_trainer.tasks.detection.ultralytics import training_arguments

_NETWORK = """
nc: 2
backbone:
  - [-1, 1, Conv, [8, 3, 2]]
  - [-1, 1, Conv, [8, 3, 2]]
  - [-1, 1, Conv, [8, 3, 2]]
head:
  - [[2], 1, Detect, [nc]]
"""
TRAIN_IMAGES = 6


def small_folder(root: Path) -> Path:
    """A network and a dataset of noise in two shapes, with two classes; the description of the dataset."""
    noise = np.random.default_rng(0)
    for split, images in (("train", TRAIN_IMAGES), ("val", 2)):
        for kind in ("images", "labels"):
            (root / kind / split).mkdir(parents=True)
        for number in range(images):
            picture = noise.integers(0, 255, (64 if number % 2 else 48, 64, 3), dtype=np.uint8)
            assert cv2.imwrite(str(root / "images" / split / f"{number}.png"), picture)
            boxes = f"{number % 2} 0.5 0.5 0.5 0.5\n0 0.3 0.3 0.2 0.2\n"
            (root / "labels" / split / f"{number}.txt").write_text(boxes)
    (root / "small.yaml").write_text(_NETWORK)
    description = {"train": "images/train", "val": "images/val", "names": {0: "a", 1: "b"}}
    (root / "data.yaml").write_text(yaml.safe_dump(description))
    return root / "data.yaml"


def trained_weights(config: DetectionConfig, data_yaml: Path) -> str:
    """Train the small network, and give a digest of its weights: the same for the same training."""
    from ultralytics.models.yolo.detect import DetectionTrainer

    class Trainer(DetectionTrainer):  # type: ignore[misc, unused-ignore]
        """Without all that reads the weights only: validation, checkpoints, pictures."""

        def validate(self) -> tuple[Mapping[str, float], float]:
            return {}, 0.0

        def save_model(self) -> bool:
            return False

        def save_metrics(self, metrics: Any) -> None: ...

        def final_eval(self) -> None: ...

        def plot_training_labels(self) -> None: ...

        def _clear_memory(self, threshold: float | None = None) -> None: ...

    arguments = training_arguments(config, data_yaml, data_yaml.parent / "run")
    network = str(data_yaml.parent / "small.yaml")
    trainer = Trainer(overrides=arguments | {"model": network, "pretrained": False, "plots": False, "save": False})
    trainer.train()
    digest = hashlib.sha256()
    for tensor in trainer.model.state_dict().values():
        digest.update(tensor.cpu().numpy().tobytes())
    return digest.hexdigest()
