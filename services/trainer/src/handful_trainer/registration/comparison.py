"""A fair comparison of two versions: on images that neither has seen, with an interval that says what chance may do."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from handful_core.package import SeenImages
from handful_trainer.dataset.image_hashes import ImageHash
from handful_trainer.dataset.inspection.phash import resembling
from handful_trainer.tasks.base import Evaluation
from handful_trainer.tasks.bootstrap import Interval, interval, resamples

Seer = Literal["champion", "challenger", "both"]


@dataclass(frozen=True, slots=True)
class LeftOut:
    """Test images that are not compared on, of one kind."""

    images: int
    seen_by: Seer
    near: bool
    """Near-duplicates of what was seen; else the same images."""


@dataclass(frozen=True, slots=True)
class ComparedImages:
    """The test images that two versions are compared on, and the others."""

    paths: frozenset[Path]
    """Neither has seen them, as far as is known."""
    left_out: tuple[LeftOut, ...]

    @property
    def total(self) -> int:
        """All test images."""
        return len(self.paths) + sum(kind.images for kind in self.left_out)


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two versions on the same images."""

    challenger: float
    champion: float
    interval: Interval
    """95 % bootstrap interval of the difference."""

    @property
    def difference(self) -> float:
        """By how much the challenger is better."""
        return self.challenger - self.champion


def unseen_images(
    test: Mapping[Path, ImageHash], challenger: SeenImages, champion: SeenImages, distance: int
) -> ComparedImages:
    """The test images that neither version has seen.

    An image was seen if its file was, or if its perceptual hash differs from that of a seen image in at most `distance`
    bits. A challenger has seen some of its own test images where the weights that it began with had.

    Args:
        test: the challenger's test images.
        challenger: what it has seen.
        champion: what the other has seen.
        distance: in bits; below 0 files alone are compared.
    """
    hashes = list(test.values())
    by_challenger, by_champion = (_seen(hashes, seen, distance) for seen in (challenger, champion))
    unseen, left_out = set[Path](), Counter[tuple[Seer, bool]]()
    for path, mine, other in zip(test, by_challenger, by_champion, strict=True):
        if mine is None and other is None:
            unseen.add(path)
        else:
            seer: Seer = "both" if mine and other else "challenger" if mine else "champion"
            left_out[seer, "same" not in (mine, other)] += 1
    kinds = tuple(LeftOut(images, seer, near) for (seer, near), images in sorted(left_out.items()))
    return ComparedImages(frozenset(unseen), kinds)


def _seen(hashes: Sequence[ImageHash], seen: SeenImages, distance: int) -> list[Literal["same", "near"] | None]:
    near = resembling([found.phash for found in hashes], list(seen.phashes.values()), distance)
    return [
        "same" if found.sha256 in seen.phashes else "near" if resembles else None
        for found, resembles in zip(hashes, near, strict=True)
    ]


def compare(challenger: Evaluation, champion: Evaluation, metric: str) -> Comparison:
    """Compare two versions on the same images.

    The interval is a paired bootstrap's: images are resampled, and both versions are scored on the same resample.

    Raises:
        DataError: an evaluation has no such metric.
    """
    weights = resamples(challenger.images)
    differences = challenger.resampled(metric, weights) - champion.resampled(metric, weights)
    return Comparison(challenger.metrics()[metric], champion.metrics()[metric], interval(differences))
