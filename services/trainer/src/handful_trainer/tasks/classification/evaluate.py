"""How often a packaged classifier is right on a split of a dataset, measured the way it is served."""

from __future__ import annotations

import json
from collections.abc import Collection
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from handful_core.console import progress
from handful_core.errors import DataError
from handful_core.runtime.model import VisionModel
from handful_core.vision.decode import decode_image
from handful_trainer.dataset.prepared import PreparedDataset
from handful_trainer.tasks.classification.predictions import write_predictions

_TOP = 5


@dataclass(frozen=True, slots=True)
class Evaluation:
    """Metrics of a classifier on a split."""

    split: str
    classes: tuple[str, ...]
    """Of the model, then those that only the dataset has: they are never found."""
    truth: NDArray[np.int64] = field(repr=False)
    """(n,): class ids."""
    probabilities: NDArray[np.float32] = field(repr=False)
    """(n, classes of the model)."""
    paths: tuple[Path, ...] = field(repr=False)

    @property
    def example(self) -> Path:
        """One of the images."""
        return self.paths[0]

    @property
    def images(self) -> int:
        """How many there are."""
        return len(self.truth)

    @property
    def confusion(self) -> NDArray[np.int64]:
        """(classes, classes): rows what was answered, columns what was there."""
        return self._confusion(np.ones(self.images, np.int64))

    def _confusion(self, weights: NDArray[np.int64]) -> NDArray[np.int64]:
        """The same, with each image as often as it was drawn."""
        matrix = np.zeros((len(self.classes), len(self.classes)), np.int64)
        np.add.at(matrix, (self.probabilities.argmax(axis=1), self.truth), weights)
        return matrix

    @property
    def per_class(self) -> dict[str, dict[str, float]]:
        """Number of labels, precision, recall and F1 of every class that the split shows or the model answers."""
        return self._per_class(self.confusion)

    def _per_class(self, confusion: NDArray[np.int64]) -> dict[str, dict[str, float]]:
        right, answered, there = confusion.diagonal(), confusion.sum(axis=1), confusion.sum(axis=0)
        found = {}
        for name, r, a, t in zip(self.classes, right.tolist(), answered.tolist(), there.tolist(), strict=True):
            if a or t:
                values = {"precision": r / a if a else 0.0, "recall": r / t if t else 0.0, "f1": 2 * r / (a + t)}
                found[name] = {"labels": float(t), **values}
        return found

    def metrics(self) -> dict[str, float]:
        """Macro F1 (mean of the classes' F1), accuracy, and how often the truth is among the first five answers."""
        right = {name: float(np.mean(images)) for name, images in self._right().items()}
        return {"macro_f1": self._macro_f1(self.confusion)} | right

    def _macro_f1(self, confusion: NDArray[np.int64]) -> float:
        return float(np.mean([values["f1"] for values in self._per_class(confusion).values()]))

    def _right(self) -> dict[str, NDArray[np.bool_]]:
        """Which images are right, (n,), by each metric that is a share of the images."""
        best = np.argsort(-self.probabilities, axis=1)[:, :_TOP]
        top = {f"top{_TOP}": (best == self.truth[:, None]).any(axis=1)}
        return {"accuracy": best[:, 0] == self.truth} | (top if self.probabilities.shape[1] > _TOP else {})

    def on(self, images: Collection[Path]) -> Evaluation:
        """The same on some of the images; the network is not run again."""
        kept = np.flatnonzero([path in images for path in self.paths])
        paths = tuple(self.paths[i] for i in kept)
        return replace(self, truth=self.truth[kept], probabilities=self.probabilities[kept], paths=paths)

    def resampled(self, metric: str, weights: NDArray[np.int64]) -> NDArray[np.float64]:
        """A metric of resamples: (resamples,), for (resamples, images) that say how often each image was drawn.

        Raises:
            DataError: there is no such metric.
        """
        if metric == "macro_f1":
            return np.asarray([self._macro_f1(self._confusion(drawn)) for drawn in weights])
        right = self._right()
        if metric not in right:
            raise DataError(f"the {self.split} split gives no {metric}", "choose another gate.metric")
        return np.asarray(weights @ right[metric].astype(np.float64) / weights.sum(axis=1))

    def as_json(self) -> dict[str, Any]:
        """What `handful evaluate --json` prints and a manifest carries."""
        return {
            "split": self.split,
            "images": self.images,
            **self.metrics(),
            "per_class": self.per_class,
            "confusion": {"classes": list(self.classes), "matrix": self.confusion.tolist()},
        }

    def write(self, folder: Path) -> Path:
        """Write metrics.json, and what was answered for each image as predictions.csv."""
        folder.mkdir(parents=True, exist_ok=True)
        write_predictions(folder / "predictions.csv", self.classes, self.truth, self.probabilities, self.paths)
        (folder / "metrics.json").write_text(json.dumps(self.as_json(), indent=2) + "\n", encoding="utf-8")
        return folder


def evaluate(model: VisionModel, dataset: PreparedDataset, split: str) -> Evaluation:
    """Measure a classifier on a split. Class names tie the two together.

    Raises:
        DataError: the split has no images, the model is no classifier, or the two share no class.
    """
    manifest = model.manifest
    if manifest.task != "classify":
        raise DataError(f"the model's task is {manifest.task}, the dataset has classes", "name a classifier")
    if not set(manifest.classes) & set(dataset.classes):
        raise DataError(
            f"the model knows {', '.join(manifest.classes)}, the dataset has {', '.join(dataset.classes)}",
            "evaluate it on a dataset with its classes",
        )
    classes = (*manifest.classes, *(name for name in dataset.classes if name not in manifest.classes))
    samples: list[tuple[Path, int]] = list(dataset.split(split))
    with progress() as bar:
        shown = bar.track(samples, description=f"evaluating {split}")
        answers = [model.predict(decode_image(path.read_bytes())).probabilities for path, _ in shown]
    truth = np.asarray([classes.index(dataset.classes[class_id]) for _, class_id in samples], np.int64)
    return Evaluation(split, classes, truth, np.asarray(answers, np.float32), tuple(path for path, _ in samples))
