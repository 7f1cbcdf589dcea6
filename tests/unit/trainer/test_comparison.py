"""Which images two versions are compared on, and what chance may do."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from handful_core.package import SeenImages
from handful_trainer.dataset.image_hashes import ImageHash
from handful_trainer.dataset.inspection.phash import resembling
from handful_trainer.registration.comparison import compare, unseen_images
from handful_trainer.tasks.classification.evaluation.evaluate import Evaluation

CLASSES = ("ant", "bee", "cow")


@st.composite
def near_bits(draw: st.DrawFn) -> int:
    """Hashes that are often near to each other: few bits of 64 are set."""
    return sum(1 << bit for bit in draw(st.sets(st.integers(0, 63), max_size=6)))


SHA256 = st.integers(0, 60).map(lambda number: f"{number:064x}")
HASHES = st.lists(st.tuples(SHA256, near_bits() | st.just(-1)), max_size=25)
SEEN = st.tuples(st.dictionaries(SHA256, near_bits() | st.just(-1), max_size=25), st.booleans()).map(
    lambda pair: SeenImages(*pair)
)


def brute(found: ImageHash, seen: SeenImages, distance: int) -> str:
    """Was it seen: the same file, a near one, or none?"""
    if found.sha256 in seen.phashes:
        return "same"
    near = (
        found.phash >= 0 and phash >= 0 and (found.phash ^ phash).bit_count() <= distance
        for phash in seen.phashes.values()
    )
    return "near" if any(near) else ""


@given(hashes=HASHES, challenger=SEEN, champion=SEEN, distance=st.integers(-1, 16))
def test_no_image_is_compared_that_either_has_seen_and_the_books_balance(
    hashes: list[tuple[str, int]], challenger: SeenImages, champion: SeenImages, distance: int
) -> None:
    test = {Path(str(number)): ImageHash(*pair) for number, pair in enumerate(hashes)}
    images = unseen_images(test, challenger, champion, distance)
    seen = {path: (brute(h, challenger, distance), brute(h, champion, distance)) for path, h in test.items()}
    assert images.paths == {path for path, by in seen.items() if not any(by)}
    assert images.total == len(test)
    for kind in images.left_out:
        column = {"challenger": (True, False), "champion": (False, True), "both": (True, True)}[kind.seen_by]
        of_kind = [by for by in seen.values() if (bool(by[0]), bool(by[1])) == column]
        assert kind.images == sum(("same" not in by) == kind.near for by in of_kind) > 0
    assert len({(kind.seen_by, kind.near) for kind in images.left_out}) == len(images.left_out)


@given(
    hashes=st.lists(near_bits() | st.just(-1)), known=st.lists(near_bits() | st.just(-1)), distance=st.integers(-1, 63)
)
def test_resembling_is_being_within_the_distance(hashes: list[int], known: list[int], distance: int) -> None:
    wanted = [one >= 0 and any(k >= 0 and (one ^ k).bit_count() <= distance for k in known) for one in hashes]
    assert resembling(hashes, known, distance) == wanted


def test_all_bits_can_differ() -> None:
    assert resembling([2**64 - 1, 0], [0], 63) == [False, True]
    assert resembling([2**64 - 1], [2**64 - 1], 0) == [True]


def classifier(truth: np.ndarray, skill: float, seed: int) -> Evaluation:
    """Right in so many answers, by chance."""
    rng = np.random.default_rng(seed)
    wrong = (truth + rng.integers(1, len(CLASSES), len(truth))) % len(CLASSES)
    answers = np.where(rng.random(len(truth)) < skill, truth, wrong)
    paths = tuple(Path(str(number)) for number in range(len(truth)))
    return Evaluation("test", CLASSES, truth, np.eye(len(CLASSES), dtype=np.float32)[answers], paths)


@pytest.mark.parametrize("metric", ["accuracy", "macro_f1"])
def test_the_interval_of_equals_holds_0_nearly_always(metric: str) -> None:
    """Of 400 test sets 0.96 (accuracy) and 0.95 (macro F1) had the true difference within their 95 % interval."""
    holds, trials = 0, 150
    for trial in range(trials):
        truth = np.random.default_rng(trial).integers(0, 3, 80)
        one, other = (classifier(truth, 0.7, 10_000 * side + trial) for side in (1, 2))
        low, high = compare(one, other, metric).interval
        holds += low <= 0 <= high
    assert 0.91 <= holds / trials < 1


@pytest.mark.parametrize("metric", ["accuracy", "macro_f1"])
def test_a_version_that_is_clearly_better_has_its_interval_above_0(metric: str) -> None:
    truth = np.random.default_rng(0).integers(0, 3, 100)
    found = compare(classifier(truth, 0.95, 1), classifier(truth, 0.5, 2), metric)
    low, high = found.interval
    assert 0.2 < low < found.difference < high < 0.7


def test_pairs_are_resampled_together() -> None:
    """Two versions that are wrong on the same images, and one on one image more: their difference hardly varies."""
    truth = np.random.default_rng(0).integers(0, 3, 100)
    one = classifier(truth, 0.6, 3)
    probabilities = one.probabilities.copy()
    right = int(np.flatnonzero(probabilities.argmax(axis=1) == truth)[0])
    probabilities[right] = np.roll(probabilities[right], 1)
    other = Evaluation("test", CLASSES, truth, probabilities, one.paths)
    low, high = compare(one, other, "accuracy").interval
    assert (low, high) == (0, pytest.approx(0.03, abs=0.011)), "not some 0.1 to both sides, as of two separate samples"


def test_the_same_versions_give_the_same_interval() -> None:
    truth = np.random.default_rng(0).integers(0, 3, 60)
    one, other = classifier(truth, 0.8, 1), classifier(truth, 0.7, 2)
    assert compare(one, other, "macro_f1") == compare(one, other, "macro_f1")
