"""Scores of a classifier's answers, and of resamples of them: the network is not run again.

A resample is a number for each image: how often it was drawn. What one image adds to a score is worked out once, so
that a thousand resamples take a product of matrices. scikit-learn and torchmetrics give the same numbers, one resample
at a time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache, cached_property, partial

import numpy as np
from numpy.typing import NDArray

from handful_core.vision.classification import in_set
from handful_trainer.tasks.bootstrap import RESAMPLES
from handful_trainer.tasks.classification.evaluation.reliability import CalibrationBins

Floats = NDArray[np.float64]
Draws = NDArray[np.int64]
"""(resamples, images): how often each image was drawn."""
TOP = 5
CURVES = ("roc_auc", "average_precision")
"""Areas under the ROC and the PR curves, one class against the rest: means over the classes."""
_AT_ONCE = 4_000_000
"""Numbers that are held in memory at a time."""
_MOST_STEPS = 2_000_000_000
"""Numbers to go through, beyond which the areas under the curves are resampled less often: half a minute."""
_LEAST_RESAMPLES = 100
"""Of these areas, however many images and classes there are."""


class Counts:
    """Of each resample and class: right answers, answers and labels, (resamples, classes) each."""

    def __init__(self, right: Floats, answered: Floats, labels: Floats) -> None:
        self.right, self.answered, self.labels = right, answered, labels

    @property
    def shown(self) -> NDArray[np.bool_]:
        """Classes that are labelled or answered; the others have no score."""
        return self.answered + self.labels > 0

    @property
    def precision(self) -> Floats:
        """0 where the class is never answered."""
        return self.right / np.maximum(self.answered, 1)

    @property
    def recall(self) -> Floats:
        """0 where no image is of the class."""
        return self.right / np.maximum(self.labels, 1)

    @property
    def f1(self) -> Floats:
        """0 where the class is neither."""
        return 2 * self.right / np.maximum(self.answered + self.labels, 1)


class Scores:
    """What can be scored of a classifier's answers.

    Args:
        truth: (images,), class ids; those from `known` on are classes that the model does not know.
        probabilities: (images, known).
        classes: how many there are.
        least: the probability from which on a class is in the prediction set; None without such sets.
        unlike: (images,), which were called unlike the training images; None where the model cannot tell.
    """

    def __init__(
        self,
        truth: NDArray[np.int64],
        probabilities: NDArray[np.float32],
        classes: int,
        least: float | None = None,
        unlike: NDArray[np.bool_] | None = None,
    ) -> None:
        self._truth, self._probabilities, self._classes = truth, probabilities, classes
        self._least, self._unlike = least, unlike
        self.answers = np.asarray(probabilities.argmax(axis=1), np.int64)

    def counts(self, draws: Draws) -> Counts:
        """Right answers, answers and labels of each class."""
        right = np.where(self.answers == self._truth, self.answers, -1)
        return Counts(*(self._by_class(ids, draws) for ids in (right, self.answers, self._truth)))

    def _by_class(self, ids: NDArray[np.int64], draws: Draws) -> Floats:
        drawn = ids >= 0
        found = [np.bincount(ids[drawn], row[drawn], minlength=self._classes) for row in draws]
        return np.asarray(found, np.float64)

    @cached_property
    def shares(self) -> dict[str, Floats]:
        """Scores that are a mean over the images, each with what an image adds, (images,)."""
        ranked = np.argsort(-self._probabilities, axis=1)[:, :TOP]
        found = {"accuracy": self.answers == self._truth}
        if self._probabilities.shape[1] > TOP:
            found[f"top{TOP}"] = (ranked == self._truth[:, None]).any(axis=1)
        if self._least is not None:
            members = in_set(self._probabilities, self._least)
            known = self._truth < self._probabilities.shape[1]
            found["set_coverage"] = known & members[np.arange(len(known)), np.where(known, self._truth, 0)]
            found["set_size"] = members.sum(axis=1)
        if self._unlike is not None:
            found["out_of_distribution"] = self._unlike
        return {name: np.asarray(values, np.float64) for name, values in found.items()}

    @property
    def calibration(self) -> CalibrationBins:
        """How sure it was, and how often that was right."""
        return CalibrationBins(self._probabilities.max(axis=1), self.answers == self._truth)

    @cached_property
    def ranked_classes(self) -> list[int]:
        """Classes that the model knows and that some images show, and some do not: they have curves."""
        labels = np.bincount(self._truth, minlength=self._classes)[: self._probabilities.shape[1]]
        return np.flatnonzero((labels > 0) & (labels < len(self._truth))).tolist()

    def named(self, draws: Draws) -> dict[str, Callable[[], Floats]]:
        """All scores that there are, by name: each gives (resamples,), with NaN where a resample has none."""
        areas = cache(lambda: self._areas(draws))
        found: dict[str, Callable[[], Floats]] = {
            "macro_f1": lambda: _macro(self.counts(draws)),
            "weighted_f1": lambda: _weighted(self.counts(draws)),
            "ece": lambda: self.calibration.error(draws),
        }
        for name, values in self.shares.items():
            found[name] = partial(_mean, values, draws)
        if self.ranked_classes:
            found |= {"roc_auc": lambda: areas()[0], "average_precision": lambda: areas()[1]}
        return found

    @property
    def curve_resamples(self) -> int:
        """How many resamples the intervals of the areas under the curves take: fewer where each takes long."""
        steps = len(self._truth) * max(1, len(self.ranked_classes))
        return min(RESAMPLES, max(_LEAST_RESAMPLES, _MOST_STEPS // steps))

    def _areas(self, draws: Draws) -> tuple[Floats, Floats]:
        """Areas under the ROC and the PR curves of one class against the rest: means over the classes."""
        found = np.asarray([self.class_areas(class_id, draws) for class_id in self.ranked_classes])
        there = ~np.isnan(found)
        means = np.full(found.shape[1:], np.nan)
        np.divide(np.where(there, found, 0).sum(axis=0), there.sum(axis=0), out=means, where=there.any(axis=0))
        return means[0], means[1]

    def class_areas(self, class_id: int, draws: Draws) -> Floats:
        """Areas under a class's ROC and PR curve, (2, resamples): see `ranked_classes`."""
        ranks = _Ranks(self._probabilities[:, class_id], self._truth == class_id)
        return np.concatenate([ranks.areas(part) for part in self._parts(draws)], axis=1)

    def _parts(self, draws: Draws) -> Iterator[Draws]:
        step = max(1, _AT_ONCE // draws.shape[1])
        return (draws[start : start + step] for start in range(0, len(draws), step))


class _Ranks:
    """Images in the order of the probability of a class, least first: those with the same one are a tie.

    Args:
        scores: (images,), the probability of the class.
        of_class: (images,), which are of the class.
    """

    def __init__(self, scores: NDArray[np.float32], of_class: NDArray[np.bool_]) -> None:
        self._order = np.argsort(scores, kind="stable")
        ranked, of_class = scores[self._order], of_class[self._order]
        self._places = np.flatnonzero(of_class)
        own = ranked[of_class]
        # Of each image of the class, where its tie begins and ends: among all images, and among those of the class.
        self._ties = [np.searchsorted(values, own, side) for values in (ranked, own) for side in ("left", "right")]

    def areas(self, draws: Draws) -> Floats:
        """Areas under the ROC and the PR curve of resamples, (2, resamples); NaN without images of the class or others.

        The first is how often an image of the class is more probable than another one, ties counting half (Mann and
        Whitney, 1947). The second is the average precision: the sum of precisions, by how much recall each adds.
        """
        ranked = np.take(draws.astype(np.int32), self._order, axis=1)
        own = ranked[:, self._places]
        below, upto, own_below, own_upto = (
            _sums(values)[:, ends] for values, ends in zip((ranked, ranked, own, own), self._ties, strict=True)
        )
        images, positives = ranked.sum(axis=1)[:, None], own.sum(axis=1)[:, None]
        won = (own * ((below - own_below) + (upto - own_upto)) / 2).sum(axis=1)
        precise = (own * ((positives - own_below) / np.maximum(images - below, 1))).sum(axis=1)
        positive, others = positives[:, 0].astype(np.float64), (images - positives)[:, 0]
        nothing = np.full((2, len(draws)), np.nan)
        whole = np.maximum([positive * others, positive], 1)
        return np.asarray(np.divide([won, precise], whole, out=nothing, where=positive * others > 0))


def _sums(values: NDArray[np.int32]) -> NDArray[np.int64]:
    """Sums of the first 0, 1, 2, … columns."""
    return np.pad(values, ((0, 0), (1, 0))).cumsum(axis=1)


def _mean(values: Floats, draws: Draws) -> Floats:
    return np.asarray(draws @ values / draws.sum(axis=1))


def _macro(counts: Counts) -> Floats:
    return np.asarray(np.mean(counts.f1, axis=1, where=counts.shown))


def _weighted(counts: Counts) -> Floats:
    return np.asarray((counts.f1 * counts.labels).sum(axis=1) / counts.labels.sum(axis=1))
