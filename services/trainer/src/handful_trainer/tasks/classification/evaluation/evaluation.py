"""How good a classifier is on a split of a dataset.

The gate compares `metrics()`. Runs and versions carry `measured()`, too: how well calibrated it is, what its prediction
sets hold, how often it raises a false alarm. What the images look like is looked at when somebody asks for it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from handful_core.errors import DataError
from handful_core.runtime.model import VisionModel
from handful_trainer.dataset.accounts import Account
from handful_trainer.dataset.prepared import PreparedDataset
from handful_trainer.tasks.bootstrap import Interval, interval, resamples
from handful_trainer.tasks.classification.evaluation.appearance import Appearance, appearances
from handful_trainer.tasks.classification.evaluation.robustness import measure_robustness, sample
from handful_trainer.tasks.classification.evaluation.scores import CURVES, TOP, Counts, Scores
from handful_trainer.tasks.classification.evaluation.shortcut import ShortcutCheck, check_shortcut
from handful_trainer.tasks.classification.evaluation.slices import find_slices, groups_of, slice_scores, without_groups

_GATED = ("macro_f1", "accuracy", f"top{TOP}")
"""More is better."""
_MEASURED = (
    *_GATED,
    "weighted_f1",
    "roc_auc",
    "average_precision",
    "ece",
    "set_coverage",
    "set_size",
    "out_of_distribution",
)
_ALWAYS_NAMED = frozenset(_MEASURED) - {f"top{TOP}"}
"""In JSON they are null where there is no such number."""


@dataclass(frozen=True)
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
    least: float | None = None
    """The probability from which on a class is in the prediction set; None without such sets."""
    unlike: NDArray[np.bool_] | None = field(default=None, repr=False)
    """(n,), which were called unlike the training images; None where the model cannot tell."""
    dataset: PreparedDataset | None = field(default=None, repr=False)
    """Has the training images and the groups; None if nothing is known of them."""
    accounts: tuple[Account, ...] = ()
    """What became of everything in the split's folder."""
    notes: tuple[str, ...] = ()
    """Sentences for people, on which images were judged."""
    robustness: Mapping[str, Any] | None = None
    """On worse copies of the images; None if that was not asked for."""

    @property
    def example(self) -> Path:
        """One of the images."""
        return self.paths[0]

    @property
    def images(self) -> int:
        """How many there are."""
        return len(self.truth)

    @cached_property
    def scores(self) -> Scores:
        """What can be scored of the answers."""
        return Scores(self.truth, self.probabilities, len(self.classes), self.least, self.unlike)

    @property
    def right(self) -> NDArray[np.bool_]:
        """(n,), which answers are right."""
        return np.asarray(self.scores.answers == self.truth)

    @property
    def confusion(self) -> NDArray[np.int64]:
        """(classes, classes): rows what was answered, columns what was there."""
        matrix = np.zeros((len(self.classes), len(self.classes)), np.int64)
        np.add.at(matrix, (self.scores.answers, self.truth), 1)
        return matrix

    @property
    def per_class(self) -> dict[str, dict[str, float]]:
        """Number of labels, precision, recall and F1 of every class that the split shows or the model answers."""
        counts = self.scores.counts(self._once)
        columns = {name: getattr(counts, name)[0] for name in ("labels", "precision", "recall", "f1")}
        return {
            self.classes[c]: {name: float(values[c]) for name, values in columns.items()}
            for c in np.flatnonzero(counts.shown[0])
        }

    def metrics(self) -> dict[str, float]:
        """Macro F1 (mean of the classes' F1), accuracy, and how often the truth is among the first five answers."""
        return {name: value for name, value in self._named(_GATED) if value is not None}

    def measured(self) -> dict[str, float]:
        """Everything that a number says of it, for runs and versions; not of all of it more is better."""
        return {name: value for name, value in self._named(_MEASURED) if value is not None}

    def _named(self, names: Collection[str]) -> Iterator[tuple[str, float | None]]:
        found = self.scores.named(self._once)
        return ((name, float(found[name]()[0]) if name in found else None) for name in names)

    @property
    def _once(self) -> NDArray[np.int64]:
        """Each image as it was drawn: once."""
        return np.ones((1, self.images), np.int64)

    def intervals(self) -> dict[str, Interval]:
        """95 % intervals of what was measured."""
        return self._intervals

    @cached_property
    def _intervals(self) -> dict[str, Interval]:
        draws = resamples(self.images)
        found = {"ece": self.scores.calibration.error_interval(draws)}
        scored = self.scores.named(draws)
        curves = self.scores.named(draws[: self.scores.curve_resamples])
        for name in scored.keys() - found.keys():
            values = (curves if name in CURVES else scored)[name]()
            found[name] = interval(values[~np.isnan(values)], None if name == "set_size" else self.images)
        return {name: found[name] for name in _MEASURED if name in found}

    @cached_property
    def class_intervals(self) -> dict[str, dict[str, Interval]]:
        """95 % intervals by class, of the resamples in which the class has such a number."""
        counts = self.scores.counts(resamples(self.images))
        return {name: _class_intervals(counts, self.classes.index(name)) for name in self.per_class}

    def on(self, images: Collection[Path]) -> Evaluation:
        """The same on some of the images; the network is not run again."""
        return self._at(np.flatnonzero([path in images for path in self.paths]))

    def _at(self, kept: NDArray[np.int64]) -> Evaluation:
        unlike = None if self.unlike is None else self.unlike[kept]
        paths = tuple(self.paths[i] for i in kept)
        return replace(self, truth=self.truth[kept], probabilities=self.probabilities[kept], paths=paths, unlike=unlike)

    def resampled(self, metric: str, weights: NDArray[np.int64]) -> NDArray[np.float64]:
        """A metric of resamples: (resamples,), for (resamples, images) that say how often each image was drawn.

        Raises:
            DataError: there is no such metric.
        """
        found = self.scores.named(weights)
        if metric not in found:
            raise DataError(f"the {self.split} split gives no {metric}", "choose another gate.metric")
        return found[metric]()

    @cached_property
    def looks(self) -> dict[Path, Appearance]:
        """What the images look like."""
        return appearances(self.paths, all_of_them=True)

    @cached_property
    def slices(self) -> list[dict[str, Any]]:
        """How it does on small, dark, blurred images and on those of one group; nothing if the dataset is not known."""
        if self.dataset is None:
            return []
        groups = groups_of(self.dataset)
        parts = find_slices([self.looks[path] for path in self.paths], [groups.get(path, "") for path in self.paths])
        return [slice_scores(part, self._at(part.places).scores, self.images) for part in parts]

    @cached_property
    def shortcut(self) -> ShortcutCheck | None:
        """Whether the background gives the class away; None if there are too few training images to see it."""
        if self.dataset is None or not self.dataset.split_sizes.get("train"):
            return None
        train = [(path, self.dataset.classes[class_id]) for path, class_id in self.dataset.split("train")]
        return check_shortcut(train, self.looks, [self.classes[c] for c in self.truth], self.right)

    def warnings(self) -> tuple[str, ...]:
        """Sentences for people."""
        found = self.shortcut
        return (*self.notes, found.warning) if found is not None and found.gives_away else self.notes

    def stressed(self, model: VisionModel) -> Evaluation:
        """The same, with how the model does on worse copies of some of the images: the network is run on them."""
        kept = self._at(sample(self.truth))
        return replace(self, robustness=measure_robustness(model, list(kept.paths), kept.truth, kept.right))

    def as_json(self) -> dict[str, Any]:
        """What `handful evaluate --json` prints and a manifest carries: groups have no names there."""
        named = {name: value for name, value in self._named(_MEASURED) if value is not None or name in _ALWAYS_NAMED}
        return {
            "split": self.split,
            "images": self.images,
            **named,
            "per_class": self.per_class,
            "intervals": {**self.intervals(), "per_class": self.class_intervals},
            "calibration": self.scores.calibration.as_json(),
            "confusion": {"classes": list(self.classes), "matrix": self.confusion.tolist()},
            "slices": without_groups(self.slices),
            "shortcut": self.shortcut.as_json() if self.shortcut else None,
            "robustness": self.robustness,
            "warnings": list(self.warnings()),
            **({"accounts": [account.as_json() for account in self.accounts]} if self.accounts else {}),
        }

    def write(self, folder: Path) -> Path:
        """Write metrics.json, the curves, and the page with the worst mistakes."""
        from handful_trainer.tasks.classification.evaluation.report import write_evaluation

        return write_evaluation(self, folder)


def _class_intervals(counts: Counts, class_id: int) -> dict[str, Interval]:
    """Of a class that is labelled or answered: in some resamples it is neither."""
    of = {"precision": counts.answered, "recall": counts.labels, "f1": np.maximum(counts.answered, counts.labels)}
    drawn = {name: (getattr(counts, name)[:, class_id], images[:, class_id]) for name, images in of.items()}
    return {
        name: interval(values[images > 0], round(float(images.mean())))
        for name, (values, images) in drawn.items()
        if images.any()
    }
