"""Runs a packaged model over a split: precision, recall, average precision, confusion, and whether it counts right.

Average precision (and precision and recall, which are points of its curves) asks how well a network ranks all it
proposes: it is measured as everywhere, within each class, and can be compared between models that are served
differently. Counts, confusion and pictures show what is served.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from handful_core.console import progress
from handful_core.errors import ConfigError, DataError
from handful_core.runtime.model import VisionModel
from handful_core.vision.decode import decode_image
from handful_core.vision.detections import Detections
from handful_trainer.dataset.prepared import PreparedDataset
from handful_trainer.tasks.detection.scores import Scorer

LOWEST_CONFIDENCE = 0.001
"""Average precision looks at all boxes down to this score, as COCO's and Ultralytics' evaluations do."""

_OVERLAPS = {"mAP50": 1, "mAP50_95": 10}
"""Thresholds of overlap that a metric takes the mean of."""
_AT_BEST_F1 = ("precision", "recall", "f1")


@dataclass(frozen=True, slots=True)
class Sample:
    """An image, its truth, and what the model says of it."""

    image: Path
    truth: Detections
    """Scores are 1."""
    count: int
    """What the image should count."""
    found: Detections
    """What is served, down to LOWEST_CONFIDENCE."""
    proposed: Detections
    """Every class of each anchor, suppressed within its class; down to LOWEST_CONFIDENCE too."""

    def counted_right(self, confidence: float, classes: Sequence[str], counts: Mapping[str, int]) -> bool:
        """Does the image count what it should, at this threshold?"""
        return self.found.above(confidence).count(classes, counts) == self.count


@dataclass(frozen=True, slots=True)
class Evaluation:
    """Metrics of a model on a split."""

    split: str
    images: int
    boxes: int
    confidence: float
    """Threshold of the count accuracy and the confusion matrix."""
    mAP50: float  # noqa: N815
    mAP50_95: float  # noqa: N815
    precision: float
    recall: float
    f1: float
    """Precision, recall and F1 at the threshold where the mean F1 is highest."""
    count_accuracy: float | None
    """Share of images whose count is right; None where no class counts."""
    per_class: dict[str, dict[str, float]]
    confusion: NDArray[np.int64] = field(repr=False)
    """(classes + 1, classes + 1): rows what was found, columns what was there; the last is background."""
    classes: tuple[str, ...] = ()
    counts: dict[str, int] = field(default_factory=dict)
    """What each class is worth when counted."""
    samples: tuple[Sample, ...] = field(default=(), repr=False)

    @property
    def paths(self) -> tuple[Path, ...]:
        """The images."""
        return tuple(sample.image for sample in self.samples)

    @property
    def example(self) -> Path:
        """One of the images."""
        return self.samples[0].image

    def metrics(self) -> dict[str, float]:
        """The numbers that runs and versions carry."""
        values = {
            "mAP50": self.mAP50,
            "mAP50_95": self.mAP50_95,
            "precision": self.precision,
            "recall": self.recall,
            "f1": self.f1,
        }
        return values | ({} if self.count_accuracy is None else {"count_accuracy": self.count_accuracy})

    def measured(self) -> dict[str, float]:
        """The same."""
        return self.metrics()

    def intervals(self) -> dict[str, tuple[float, float]]:
        """None are taken."""
        return {}

    def warnings(self) -> tuple[str, ...]:
        """Nothing."""
        return ()

    def stressed(self, model: VisionModel) -> Evaluation:  # noqa: ARG002
        """Refused.

        Raises:
            ConfigError: always.
        """
        raise ConfigError("detectors are not tried on worse pictures", "leave out --robustness")

    def on(self, images: Collection[Path]) -> Evaluation:
        """The same on some of the images; the network is not run again."""
        kept = tuple(sample for sample in self.samples if sample.image in images)
        return _measured(self.split, kept, self.classes, self.counts, self.confidence)

    def resampled(self, metric: str, weights: NDArray[np.int64]) -> NDArray[np.float64]:
        """A metric of resamples: (resamples,), for (resamples, images) that say how often each image was drawn.

        Raises:
            DataError: there is no such metric.
        """
        if metric == "count_accuracy" and self.counts:
            right = [sample.counted_right(self.confidence, self.classes, self.counts) for sample in self.samples]
            return np.asarray(weights @ np.asarray(right, np.float64) / weights.sum(axis=1))
        resampler = scored(self.samples, self.classes).resampler()
        if metric in _OVERLAPS:
            return np.asarray([resampler.mean_average_precision(w, _OVERLAPS[metric]) for w in weights])
        if metric in _AT_BEST_F1:
            place = _AT_BEST_F1.index(metric)
            return np.asarray([resampler.precision_recall_f1(w)[place] for w in weights])
        raise DataError(f"the {self.split} split gives no {metric}", "choose another gate.metric")

    def as_json(self) -> dict[str, Any]:
        """What `handful evaluate --json` prints and a manifest carries."""
        return {
            "split": self.split,
            "images": self.images,
            "boxes": self.boxes,
            "confidence": self.confidence,
            **self.metrics(),
            "per_class": self.per_class,
            "confusion": {"classes": [*self.classes, "background"], "matrix": self.confusion.tolist()},
        }

    def write(self, folder: Path) -> Path:
        """Write metrics.json, the confusion matrix, the curves and the page of test pictures."""
        from handful_trainer.tasks.detection.report import write_evaluation

        return write_evaluation(self, folder)


def evaluate(model: VisionModel, dataset: PreparedDataset, split: str) -> Evaluation:
    """Measure a model on a split.

    Class names tie the two together: a class that the model does not know is never found by it, and boxes of a class
    that the dataset does not have count as wrong.

    Raises:
        DataError: the split has no images, the model finds no boxes, or the two share no class.
    """
    if model.manifest.task != "detect":
        raise DataError(f"the model's task is {model.manifest.task}, the dataset has boxes", "name a detector")
    if not set(model.manifest.classes) & set(dataset.classes):
        raise DataError(
            f"the model knows {', '.join(model.manifest.classes)}, the dataset has {', '.join(dataset.classes)}",
            "evaluate it on a dataset with its classes",
        )
    samples = tuple(collect(model, dataset, split))
    if not samples:
        raise DataError(
            f"the split {split} of {dataset.root} has no images", "choose another split or prepare more images"
        )
    manifest = model.manifest
    return _measured(split, samples, manifest.classes, dict(manifest.counts), manifest.thresholds.confidence)


def _measured(
    split: str, samples: tuple[Sample, ...], classes: tuple[str, ...], counts: dict[str, int], confidence: float
) -> Evaluation:
    scorer = scored(samples, classes)
    return Evaluation(
        split=split,
        images=len(samples),
        boxes=sum(len(sample.truth) for sample in samples),
        confidence=confidence,
        **scorer.scores(),
        count_accuracy=count_accuracy(samples, confidence, classes, counts),
        confusion=scorer.confusion(confidence),
        classes=classes,
        counts=counts,
        samples=samples,
    )


def count_accuracy(
    samples: Iterable[Sample], confidence: float, classes: Sequence[str], counts: Mapping[str, int]
) -> float | None:
    """Share of images whose count is right at this threshold; None where no class counts."""
    if not counts:
        return None
    return float(np.mean([sample.counted_right(confidence, classes, counts) for sample in samples]))


def best_confidence(samples: Iterable[Sample], model: VisionModel) -> float:
    """The threshold between 0.05 and 0.9 at which a model serves best, on images that it was not trained on.

    Best is the highest mean of the F1 score of all boxes and, where classes count, of the count accuracy. Counting
    alone would let a weak model find nothing at all: that is right wherever nothing counts. Of equals it is the middle
    one, with most room to both sides.
    """
    samples = list(samples)
    classes, counts = model.manifest.classes, model.manifest.counts
    scorer = scored(samples, classes)
    candidates = [step / 100 for step in range(5, 91, 5)]
    scores = [scorer.box_f1(c) + (count_accuracy(samples, c, classes, counts) or 0.0) for c in candidates]
    best = [c for c, score in zip(candidates, scores, strict=True) if score == max(scores)]
    return best[len(best) // 2]


def scored(samples: Iterable[Sample], classes: Sequence[str]) -> Scorer:
    """A scorer that has seen these images."""
    scorer = Scorer(classes)
    for sample in samples:
        scorer.add(sample.image.name, sample.truth, sample.found, sample.proposed)
    return scorer


def collect(model: VisionModel, dataset: PreparedDataset, split: str) -> Iterator[Sample]:
    """What a model says of each image of a split."""
    ids = _class_ids(dataset.classes, model.manifest.classes)
    served = model.postprocess_options(LOWEST_CONFIDENCE)
    ranked = replace(served, class_agnostic=False, every_class=True)
    with progress() as bar:
        items = list(dataset.split(split))
        for path, (boxes, classes) in bar.track(items, description=f"evaluating {split}"):
            found, proposed = model.detect(decode_image(path.read_bytes()), served, ranked)
            truth = Detections(boxes, np.ones(len(boxes), np.float32), ids[classes])
            count = sum(dataset.counts.get(dataset.classes[i], 0) for i in classes.tolist())
            yield Sample(path, truth, count, found, proposed)


def _class_ids(dataset: Iterable[str], model: tuple[str, ...]) -> NDArray[np.int64]:
    """Dataset class id to model class id; classes that the model lacks get ids of their own behind the model's."""
    extra = iter(range(len(model), 1_000_000))
    return np.asarray([model.index(name) if name in model else next(extra) for name in dataset], np.int64)
