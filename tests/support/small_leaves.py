"""A folder of classes and a network so small that a training takes a second."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from handful_trainer.dataset.prepared import PreparedDataset
from handful_trainer.pipeline.job import TrainingJob
from handful_trainer.pipeline.run_folder import RunFolder
from handful_trainer.tasks.classification.settings import ClassificationConfig

NETWORK = "test_efficientnet"
"""timm's own for tests: 0.4 million parameters."""
COLOURS = {"green": (40, 200, 40), "rust": (30, 90, 200), "yellow": (40, 220, 230)}
"""BGR."""


def leaf(name: str, seed: int, width: int = 48, height: int = 40) -> np.ndarray:
    """A noisy picture, mostly of one colour."""
    noise = np.random.default_rng(seed).normal(0, 30, (height, width, 3))
    return np.clip(np.float32(COLOURS[name]) + noise, 0, 255).astype(np.uint8)


def leaf_folder(root: Path, train: Mapping[str, int] | None = None, others: int = 3) -> PreparedDataset:
    """Images of each class: so many for training, and `others` for validation and for the test."""
    seed = 0
    for split in ("train", "val", "test"):
        for name in COLOURS:
            folder = root / split / name
            folder.mkdir(parents=True)
            for _ in range((train or dict.fromkeys(COLOURS, 4))[name] if split == "train" else others):
                cv2.imwrite(str(folder / f"{seed}.png"), leaf(name, seed))
                seed += 1
    return PreparedDataset.open(root)


def leaf_config(**sections: Mapping[str, Any]) -> ClassificationConfig:
    """A training of two epochs at 32 pixels."""
    content: dict[str, dict[str, Any]] = {
        "dataset": {"source": "sample"},
        "model": {"architecture": NETWORK},
        "training": {"epochs": 2, "imgsz": 32, "batch": 4, "device": "cpu"},
    }
    for name, values in sections.items():
        content[name] = content.get(name, {}) | dict(values)
    return ClassificationConfig.model_validate(content)


def leaf_job(folder: Path, dataset: PreparedDataset, config: ClassificationConfig) -> TrainingJob:
    """A training in a folder of its own."""
    folder.mkdir(parents=True, exist_ok=True)
    return TrainingJob(config, dataset, RunFolder(folder), folder / "home", "http://mlflow")


class Watching:
    """A listener that keeps what it is told, and ends a training after an epoch if it should."""

    def __init__(self, after: int = 0, error: type[BaseException] = RuntimeError) -> None:
        self.epochs: dict[int, dict[str, float]] = {}
        self.batches = 0
        self.begun: tuple[Mapping[str, Any], int, int] = ({}, 0, 0)
        self._after, self._error = after, error

    def started(self, params: Mapping[str, Any], batches: int, done: int) -> None:
        self.begun = (params, batches, done)

    def batch(self) -> None:
        self.batches += 1

    def epoch(self, number: int, metrics: Mapping[str, float]) -> None:
        self.epochs[number] = dict(metrics)
        if number == self._after:
            raise self._error
