"""Scores of resampled images: what bootstrap intervals are made of."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fakes.packages import CLASSES, build_package
from fakes.squares import SCENES, write_squares
from handful_core.errors import DataError
from handful_core.runtime.model import load_model
from handful_trainer.dataset.prepared import PreparedDataset
from handful_trainer.tasks.classification.evaluation.evaluate import Evaluation as Classification
from handful_trainer.tasks.detection.evaluate import Evaluation, evaluate

METRICS = ("mAP50", "mAP50_95", "precision", "recall", "f1", "count_accuracy")
Statistics = dict[str, list[np.ndarray]]


def drawn(seed: int, images: int, classes: int, skill: float) -> Statistics:
    """Boxes of a network that finds this share of what is there, among others."""
    rng = np.random.default_rng(seed)
    found: Statistics = {"tp": [], "conf": [], "pred_cls": [], "target_cls": []}
    for _ in range(images):
        there = rng.integers(0, classes, rng.integers(0, 3))
        size = len(there) + int(rng.integers(0, 8))
        named, sure, right = rng.integers(0, classes, size), rng.random(size) / 2, np.zeros((size, 10), bool)
        for place, class_id in enumerate(there):
            if rng.random() < skill:
                named[place], sure[place] = class_id, 0.3 + 0.7 * rng.random()
                right[place, : rng.integers(1, 11)] = True
        for values, more in zip(found.values(), (right, sure.astype(np.float32), named, there), strict=True):
            values.append(more)
    return found


def by_ultralytics(found: Statistics, weights: np.ndarray) -> dict[str, float]:
    """Ultralytics' own code, with each image's boxes as often as it was drawn."""
    from ultralytics.utils.metrics import ap_per_class

    places = np.repeat(np.arange(len(weights)), weights)
    _, _, precision, recall, f1, ap, *_ = ap_per_class(
        *(np.concatenate([v[i] for i in places]) for v in found.values())
    )
    if not len(ap):
        return dict.fromkeys(METRICS[:-1], 0.0)
    means = (ap[:, 0].mean(), ap.mean(), precision.mean(), recall.mean(), f1.mean())
    return dict(zip(METRICS, map(float, means), strict=False))


def by_weights(found: Statistics, weights: np.ndarray) -> dict[str, float]:
    from handful_trainer.tasks.detection.resampling import BoxResampler

    resampler = BoxResampler(found)
    means = [resampler.mean_average_precision(weights, overlaps) for overlaps in (1, 10)]
    return dict(zip(METRICS, (*means, *resampler.precision_recall_f1(weights)), strict=False))


@settings(deadline=None)
@given(seed=st.integers(0, 2**32), images=st.integers(1, 40), classes=st.integers(1, 8), skill=st.floats(0, 1))
def test_scores_are_what_ultralytics_says_of_repeated_boxes(seed: int, images: int, classes: int, skill: float) -> None:
    found = drawn(seed, images, classes, skill)
    for weights in np.random.default_rng(seed).multinomial(images, np.full(images, 1 / images), size=3):
        assert by_weights(found, weights) == pytest.approx(by_ultralytics(found, weights), abs=1e-12)


@pytest.fixture
def evaluation(tmp_path: Path) -> Evaluation:
    """A model that takes some classes for others, so that no metric is 0 or 1."""
    classes = ("0", "1", "2", "5", "4", "3", "unknown")
    dataset = PreparedDataset.open(write_squares(tmp_path / "squares"))
    model = load_model(build_package(tmp_path / "package", classes=classes, golden=False), threads=1)
    return evaluate(model, dataset, "test")


@pytest.mark.parametrize("metric", METRICS)
def test_a_resample_of_all_images_has_the_scores_of_all_images(evaluation: Evaluation, metric: str) -> None:
    whole = evaluation.metrics()[metric]
    assert 0.2 < whole < 0.9
    assert evaluation.resampled(metric, np.ones((2, len(SCENES)), np.int64)) == pytest.approx([whole, whole])


@pytest.mark.parametrize("metric", METRICS)
def test_some_of_the_images_have_the_scores_of_that_resample(evaluation: Evaluation, metric: str) -> None:
    weights = np.array([1, 0, 1, 1, 0, 1])
    some = evaluation.on({path for path, kept in zip(evaluation.paths, weights, strict=True) if kept})
    assert some.paths == tuple(np.array(evaluation.paths)[weights == 1])
    assert (some.images, some.split) == (4, "test")
    assert evaluation.resampled(metric, weights[None]) == pytest.approx([some.metrics()[metric]])


def test_a_metric_that_there_is_none_of_is_told(evaluation: Evaluation) -> None:
    with pytest.raises(DataError, match="the test split gives no accuracy"):
        evaluation.resampled("accuracy", np.ones((1, len(SCENES)), np.int64))


CLASSIFIED = st.integers(1, 12).flatmap(
    lambda n: st.tuples(
        st.lists(st.integers(0, 6), min_size=n, max_size=n),
        st.lists(st.integers(0, 6), min_size=n, max_size=n),
        st.lists(st.integers(0, 3), min_size=n, max_size=n).filter(any),
    )
)


@given(CLASSIFIED)
def test_a_classifier_is_resampled_as_if_its_images_were_there_so_often(
    drawn: tuple[list[int], list[int], list[int]],
) -> None:
    truth, answers, weights = map(np.array, drawn)
    probabilities = np.eye(len(CLASSES), dtype=np.float32)[answers]
    paths = tuple(Path(str(i)) for i in range(len(truth)))
    places = np.repeat(np.arange(len(truth)), weights)
    one = Classification("test", CLASSES, truth, probabilities, paths)
    again = Classification("test", CLASSES, truth[places], probabilities[places], tuple(paths[i] for i in places))
    for metric, value in again.metrics().items():
        assert one.resampled(metric, weights[None]) == pytest.approx([value])
    some = one.on({paths[i] for i in places})
    assert some.images == len(set(places.tolist()))
    assert some.metrics()["accuracy"] == pytest.approx(np.mean(truth[weights > 0] == answers[weights > 0]))
