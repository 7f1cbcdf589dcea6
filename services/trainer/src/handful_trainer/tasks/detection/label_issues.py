"""Boxes that are probably wrong: where a detector's answer and the labels contradict each other.

After ObjectLab (Tkachenko, Thyagarajan, Mueller: ObjectLab: Automated Diagnosis of Mislabeled Images in Object
Detection Data, 2023), which scores boxes that are overlooked, of a wrong class, or badly placed by a detector's
answers. What counts as badly placed is read from the dataset: where all boxes are drawn wider than the detector draws
them, that is how they are drawn.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from handful_core.console import progress
from handful_core.errors import DataError
from handful_core.runtime.model import VisionModel
from handful_core.vision.decode import decode_image
from handful_core.vision.detections import Detections, box_iou, match
from handful_trainer.dataset.label_issues.issue import Corners, FoundIssues, IssueKind, LabelIssue, NamedBox
from handful_trainer.dataset.prepared import PreparedDataset

_LOWEST = 0.01
"""Scores below it say nothing."""
_SEEN = 0.1
"""Score from which an answer without a label is worth telling."""
_SAME = 0.5
"""Overlap from which a label and an answer mean the same object."""
_TOUCHING = 0.1
"""Overlap from which they may."""
_SURE = 0.5
"""Score from which an answer tells how boxes are drawn here."""
_USUAL_OVERLAP, _USUAL_SPREAD = 0.85, 0.05
"""Where too few pairs tell."""
_LEAST_SPREAD = 0.02
_FEW_PAIRS = 20
_FAR = 5
"""A box is badly placed if its overlap lies so many spreads below the usual one."""


@dataclass(frozen=True, slots=True)
class Answered:
    """An image, its labels, and what a detector says of it."""

    image: Path
    split: str
    truth: Detections
    """Labels by the dataset's classes; scores are 1."""
    found: Detections
    """Class by class, down to low scores, by the dataset's classes; without those that it does not have."""


@dataclass(frozen=True, slots=True)
class Drawing:
    """How well labels and sure answers overlap where they agree: how boxes are drawn in a dataset."""

    overlap: float
    """The median."""
    spread: float
    """Median absolute deviation, scaled to a standard deviation."""

    @classmethod
    def of(cls, answered: Sequence[Answered]) -> Drawing:
        """As most of a dataset's boxes are drawn."""
        pairs = np.concatenate([np.zeros(0, np.float32), *(_sure_overlaps(each) for each in answered)])
        if len(pairs) < _FEW_PAIRS:
            return cls(_USUAL_OVERLAP, _USUAL_SPREAD)
        median = float(np.median(pairs))
        return cls(median, max(1.4826 * float(np.median(np.abs(pairs - median))), _LEAST_SPREAD))

    def doubt(self, overlap: float) -> float:
        """How badly a box is placed that overlaps so with a sure answer, 0 to 1."""
        distance = (self.overlap - overlap) / self.spread - _FAR
        return float(1 / (1 + np.exp(-np.clip(distance, -30, 30))))


def find_label_issues(model: VisionModel, dataset: PreparedDataset) -> FoundIssues:
    """Compare all labels of a dataset with what a detector says.

    Raises:
        DataError: model and dataset have no class in common.
    """
    known = [name for name in dataset.classes if name in model.manifest.classes]
    if not known:
        raise DataError(
            f"the model finds {', '.join(model.manifest.classes)}, the dataset has {', '.join(dataset.classes)}",
            "name a model of the same classes",
        )
    answered = list(answers_of(model, dataset))
    ids = {dataset.classes.index(name) for name in known}
    drawing, issues = Drawing.of(answered), list[LabelIssue]()
    for each in answered:
        issues += issues_of(each, dataset.classes, drawing, ids)
    unknown = [name for name in dataset.classes if name not in known]
    notes = (f"boxes of {', '.join(unknown)} are not judged: the model does not know the class",) if unknown else ()
    labels = sum(int(np.isin(each.truth.classes, list(ids)).sum()) for each in answered)
    given = {a.image: [_label(a.truth, place, dataset.classes) for place in range(len(a.truth))] for a in answered}
    return FoundIssues(issues, len(answered), labels, out_of_fold=False, notes=notes, given=given)


def answers_of(model: VisionModel, dataset: PreparedDataset) -> Iterator[Answered]:
    """All images of a dataset, with what a detector says of them."""
    options = replace(model.postprocess_options(_LOWEST), class_agnostic=False)
    with progress() as bar:
        shown = bar.add_task("looking at labels", total=sum(dataset.split_sizes.values()))
        for split in dataset.split_sizes:
            for path, (boxes, class_ids) in dataset.split(split):
                (found,) = model.detect(decode_image(path.read_bytes()), options)
                found = found.renumbered(model.manifest.classes, dataset.classes)
                truth = Detections(boxes, np.ones(len(boxes), np.float32), class_ids)
                yield Answered(path, split, truth, found.take(found.classes >= 0))
                bar.advance(shown)


def issues_of(
    answered: Answered, classes: Sequence[str], drawing: Drawing, judged: set[int] | None = None
) -> Iterator[LabelIssue]:
    """What is doubtful about an image's labels: of each label at most one thing, and of each object without a label.

    Args:
        answered: the image.
        classes: the dataset's.
        drawing: how its boxes are drawn.
        judged: ids of the classes that the model knows; all if None.
    """
    truth, found = answered.truth, answered.found
    overlaps = box_iou(truth.boxes, found.boxes)
    owners = _owners(overlaps)
    for place in range(len(truth)):
        if judged is not None and int(truth.classes[place]) not in judged:
            continue
        doubts = [
            _wrong_class(truth, found, overlaps[place], place),
            _badly_placed(found, overlaps[place], owners == place, drawing),
            _spurious(found, overlaps[place]),
        ]
        kind, score, other = max(doubts, key=lambda doubt: doubt[1])
        if score > 0:
            given, proposed = _label(truth, place, classes), _answer(found, other, classes)
            yield LabelIssue(answered.image, answered.split, kind, score, given, proposed)
    for place, score in _missed(found, overlaps):
        yield LabelIssue(answered.image, answered.split, "missed", score, None, _answer(found, place, classes))


_Doubt = tuple[IssueKind, float, int | None]
"""What may be wrong, how suspicious it is, and the place of the answer that says so."""


def _wrong_class(truth: Detections, found: Detections, overlaps: NDArray[np.float32], place: int) -> _Doubt:
    """The object is there, and the model calls it something else."""
    here = overlaps >= _SAME
    own = found.classes == truth.classes[place]
    others = np.where(here & ~own, found.scores, 0)
    if not others.any():
        return "wrong class", 0.0, None
    same = float(found.scores[here & own].max(initial=0))
    best = int(np.argmax(others))
    return "wrong class", float(others[best]) * (1 - same), best


def _badly_placed(found: Detections, overlaps: NDArray[np.float32], own: NDArray[np.bool_], drawing: Drawing) -> _Doubt:
    """The model sees the object elsewhere than the box says, or smaller, or larger."""
    near = np.where(own & (overlaps >= _TOUCHING), found.scores, 0)
    if not near.any():
        return "badly placed", 0.0, None
    best = int(np.argmax(near))
    return "badly placed", float(near[best]) * drawing.doubt(float(overlaps[best])), best


def _spurious(found: Detections, overlaps: NDArray[np.float32]) -> _Doubt:
    """The model sees nothing there."""
    return "spurious", 1 - float(found.scores[overlaps >= _TOUCHING].max(initial=0)), None


def _missed(found: Detections, overlaps: NDArray[np.float32]) -> Iterator[tuple[int, float]]:
    """Answers without a label, the surest of each object, and how suspicious that is."""
    free = overlaps.max(axis=0, initial=0) < _TOUCHING if len(overlaps) else np.ones(len(found), np.bool_)
    left = np.flatnonzero(free & (found.scores >= _SEEN))
    among = box_iou(found.boxes[left], found.boxes[left])
    taken = np.zeros(len(left), np.bool_)
    for index in np.argsort(-found.scores[left], kind="stable"):
        if not taken[index]:
            taken |= among[index] >= _SAME
            yield int(left[index]), float(found.scores[left[index]])


def _owners(overlaps: NDArray[np.float32]) -> NDArray[np.int64]:
    """(answers,): the label that each answer overlaps most; -1 where there is none."""
    if not len(overlaps):
        return np.full(overlaps.shape[1], -1, np.int64)
    best: NDArray[np.int64] = overlaps.argmax(axis=0)
    return np.where(overlaps.max(axis=0) > 0, best, -1)


def _sure_overlaps(answered: Answered) -> NDArray[np.float32]:
    """Overlaps of labels and sure answers that agree about an object and its class."""
    sure = answered.found.above(_SURE)
    pairs = match(answered.truth, sure, _SAME, same_class=True)
    overlaps = box_iou(answered.truth.boxes, sure.boxes)
    return np.asarray([overlaps[i, j] for i, j in pairs], np.float32)


def _label(truth: Detections, place: int, classes: Sequence[str]) -> NamedBox:
    return NamedBox(classes[int(truth.classes[place])], _corners(truth.boxes[place]))


def _answer(found: Detections, place: int | None, classes: Sequence[str]) -> NamedBox | None:
    if place is None:
        return None
    name, score = classes[int(found.classes[place])], float(found.scores[place])
    return NamedBox(name, _corners(found.boxes[place]), score)


def _corners(box: NDArray[np.float32]) -> Corners:
    left, top, right, bottom = box.tolist()
    return left, top, right, bottom
