"""Label issues as pictures that people review in the dashboard: `handful data label-issues --review`."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal, NamedTuple

import cv2
import numpy as np

from handful_core.review import CapturedPicture, Probability, ReviewStore, ScoredObject
from handful_core.vision.decode import Pixels, decode_image
from handful_core.vision.phash import perceptual_hashes
from handful_faces import publishing_blur
from handful_trainer.dataset.label_issues.issue import FoundIssues, LabelIssue, NamedBox
from handful_trainer.dataset.sources.reviewed import dataset_source

_LIKELY = 0.5
"""Score from which the picture comes with the model's proposal instead of the label."""
_QUALITY = 95
_SMALL = 64
"""Pixels of the side of the grey picture that is hashed."""


class Judge(NamedTuple):
    """The model that found the issues, as records of pictures name it."""

    model: str
    version: str
    """Empty for a package that is no registered version."""
    package: str
    """The package's digest."""
    task: Literal["detect", "classify"]


class PutUp(NamedTuple):
    """What became of the pictures."""

    waiting: int
    """They wait for a person now, or did before."""
    deleted: int
    """Somebody deleted them before: they stay deleted."""


def put_up(store: ReviewStore, found: FoundIssues, judge: Judge, most: int) -> PutUp:
    """Put the pictures with the most suspicious labels up for review, each once.

    Faces are blurred. A picture that is there already stays as it is, with its review.

    Args:
        store: where to.
        found: in a dataset.
        judge: the model that is asked for the pictures later.
        most: pictures.

    Raises:
        UnavailableError: MLflow does not answer.
    """
    by_image: dict[Path, list[LabelIssue]] = defaultdict(list)
    for issue in found.ranked():
        if issue.image in by_image or len(by_image) < most:
            by_image[issue.image].append(issue)
    known = {picture.id for picture in store.pictures(judge.model)}
    blur, waiting = publishing_blur(), 0
    for path, issues in by_image.items():
        data = path.read_bytes()
        sha256 = hashlib.sha256(data).hexdigest()
        picture_id = hashlib.sha256(f"{judge.model}/{sha256}".encode()).hexdigest()[:32]
        if picture_id in known:
            waiting += 1
            continue
        pixels = decode_image(data)
        blur(pixels)
        jpeg = cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])[1].tobytes()
        picture = _picture(picture_id, sha256, jpeg, pixels, judge, issues, found.given)
        waiting += store.add(picture, jpeg)
    return PutUp(waiting, len(by_image) - waiting)


def _picture(
    picture_id: str,
    sha256: str,
    jpeg: bytes,
    pixels: Pixels,
    judge: Judge,
    issues: Sequence[LabelIssue],
    given: Mapping[Path, Sequence[NamedBox]],
) -> CapturedPicture:
    proposed = list(proposal(given.get(issues[0].image, ()), issues))
    height, width = pixels.shape[:2]
    small = cv2.resize(cv2.cvtColor(pixels, cv2.COLOR_BGR2GRAY), (_SMALL, _SMALL), interpolation=cv2.INTER_AREA)
    (phash,) = perceptual_hashes([np.asarray(small, np.uint8)])
    return CapturedPicture(
        id=picture_id,
        at=datetime.now(UTC),
        model=judge.model,
        version=judge.version,
        package=judge.package,
        source=dataset_source(sha256),
        task=judge.task,
        width=width,
        height=height,
        reason="label issue",
        score=issues[0].score,
        sha256=hashlib.sha256(jpeg).hexdigest(),
        phash=max(phash, 0),
        objects=tuple(ScoredObject(each.name, _sure(each), each.box) for each in proposed if each.box),
        probabilities=tuple(Probability(each.name, _sure(each)) for each in proposed if not each.box),
    )


def proposal(given: Iterable[NamedBox], issues: Sequence[LabelIssue]) -> Iterable[NamedBox]:
    """An image's labels with what a model says in place of the likely faults, for a person to accept or to correct.

    Args:
        given: all labels of the image.
        issues: of the image.
    """
    likely = [issue for issue in issues if issue.score >= _LIKELY]
    for label in given:
        issue = next((issue for issue in likely if issue.given == label), None)
        if issue is None:
            yield label
        elif issue.proposed is not None:
            yield issue.proposed
    yield from (issue.proposed for issue in likely if issue.given is None and issue.proposed)


def _sure(named: NamedBox) -> float:
    return 1.0 if named.confidence is None else named.confidence
