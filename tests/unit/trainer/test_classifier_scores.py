"""Scores of a classifier's answers against scikit-learn and torchmetrics, and by hand."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as sklearn
from torchmetrics.functional.classification import multiclass_calibration_error

from handful_core.errors import DataError
from handful_trainer.tasks.bootstrap import RESAMPLES, interval, resamples
from handful_trainer.tasks.classification.evaluation import scores
from handful_trainer.tasks.classification.evaluation.evaluation import Evaluation
from handful_trainer.tasks.classification.evaluation.reliability import BINS, CalibrationBins
from handful_trainer.tasks.classification.evaluation.scores import Scores

ONE, OTHER, THIRD = (0.7, 0.2, 0.1), (0.12, 0.78, 0.1), (0.34, 0.33, 0.33)


class Answers(NamedTuple):
    """Answers to images, and how often each was drawn."""

    truth: np.ndarray
    probabilities: np.ndarray
    drawn: np.ndarray

    @property
    def scores(self) -> Scores:
        return Scores(self.truth, self.probabilities, self.classes)

    @property
    def classes(self) -> int:
        """One more than the model knows."""
        return self.probabilities.shape[1] + 1

    @property
    def repeated(self) -> Answers:
        """Each image as often as it was drawn."""
        again = np.repeat(np.arange(len(self.truth)), self.drawn)
        return Answers(self.truth[again], self.probabilities[again], np.ones(len(again), np.int64))


@st.composite
def answers(draw: st.DrawFn) -> Answers:
    """Few probabilities, so that many are equal; some images are of a class that the model does not know."""
    known, images = draw(st.integers(2, 5)), draw(st.integers(1, 25))
    odds = draw(st.lists(st.lists(st.integers(1, 4), min_size=known, max_size=known), min_size=images, max_size=images))
    truth = draw(st.lists(st.integers(0, known), min_size=images, max_size=images))
    drawn = draw(st.lists(st.integers(0, 3), min_size=images, max_size=images).filter(any))
    shares = np.asarray(odds, np.float32)
    return Answers(np.asarray(truth), shares / shares.sum(axis=1, keepdims=True), np.asarray(drawn))


def evaluation(*rows: tuple[int, tuple[float, ...]], least: float | None = None) -> Evaluation:
    """Truth and probabilities of each image, by hand."""
    truth = np.asarray([truth for truth, _ in rows])
    probabilities = np.asarray([found for _, found in rows], np.float32)
    return Evaluation(
        "test", ("a", "b", "c"), truth, probabilities, tuple(map(Path, map(str, range(len(rows))))), least
    )


@given(answers())
def test_right_answers_are_counted_as_scikit_learn_counts(given: Answers) -> None:
    counts = given.scores.counts(given.drawn[None])
    found = [counts.precision[0], counts.recall[0], counts.f1[0], counts.labels[0]]
    kept, answer = given.repeated, given.repeated.probabilities.argmax(axis=1)
    every = sklearn.precision_recall_fscore_support(kept.truth, answer, labels=range(given.classes), zero_division=0)
    assert np.asarray(found) == pytest.approx(np.asarray(every))
    named = {name: float(drawn()[0]) for name, drawn in given.scores.named(given.drawn[None]).items()}
    shown = {"labels": np.union1d(kept.truth, answer), "zero_division": 0}
    assert named["accuracy"] == pytest.approx(sklearn.accuracy_score(kept.truth, answer))
    assert named["macro_f1"] == pytest.approx(sklearn.f1_score(kept.truth, answer, average="macro", **shown))
    assert named["weighted_f1"] == pytest.approx(sklearn.f1_score(kept.truth, answer, average="weighted", **shown))


@given(answers())
def test_areas_under_curves_are_those_of_scikit_learn(given: Answers) -> None:
    wanted: list[tuple[float, float]] = []
    for class_id in given.scores.ranked_classes:
        of_class, scores = given.repeated.truth == class_id, given.repeated.probabilities[:, class_id]
        found = given.scores.class_areas(class_id, given.drawn[None])[:, 0]
        if of_class.all() or not of_class.any():
            assert np.isnan(found).all()
            continue
        wanted.append((sklearn.roc_auc_score(of_class, scores), sklearn.average_precision_score(of_class, scores)))
        assert found == pytest.approx(np.asarray(wanted[-1]))
    if given.scores.ranked_classes:
        named = given.scores.named(given.drawn[None])
        means = np.mean(wanted, axis=0) if wanted else [np.nan, np.nan]
        assert [named["roc_auc"]()[0], named["average_precision"]()[0]] == pytest.approx(list(means), nan_ok=True)


def test_of_all_classes_the_area_is_scikit_learns_one_against_the_rest() -> None:
    rng = np.random.default_rng(0)
    truth, probabilities = rng.integers(0, 4, 80), rng.dirichlet(np.ones(4), 80)
    once = np.ones((1, 80), np.int64)
    found = Scores(truth, probabilities, 4).named(once)["roc_auc"]()[0]
    assert found == pytest.approx(sklearn.roc_auc_score(truth, probabilities, multi_class="ovr", average="macro"))


@given(st.lists(st.tuples(st.floats(0.35, 0.999), st.booleans(), st.integers(0, 3)), min_size=1, max_size=40))
def test_the_calibration_error_is_torchmetrics(rows: list[tuple[float, bool, int]]) -> None:
    # Where bins meet, torchmetrics counts to the upper one, and Guo and others to the lower.
    rows = [row for row in rows if abs(row[0] * BINS - round(row[0] * BINS)) > 1e-4 and row[2]]
    if not rows:
        return
    confidence = np.asarray([c for c, _, _ in rows], np.float32)
    right, drawn = np.asarray([r for _, r, _ in rows]), np.asarray([d for _, _, d in rows])
    probabilities = np.repeat(np.stack([confidence, *[(1 - confidence) / 2] * 2], axis=1), drawn, axis=0)
    truth = np.repeat(np.where(right, 0, 1), drawn)
    wanted = multiclass_calibration_error(torch.tensor(probabilities), torch.tensor(truth), 3, n_bins=BINS)
    assert CalibrationBins(confidence, right).error(drawn[None])[0] == pytest.approx(float(wanted), abs=1e-6)


def test_the_calibration_error_by_hand() -> None:
    """Two answers of 0.7, one of them right; one of 0.78, right; one of 0.34, wrong."""
    found = evaluation((0, ONE), (1, ONE), (1, OTHER), (2, THIRD)).measured()
    assert found["ece"] == pytest.approx((2 * abs(0.7 - 0.5) + abs(0.78 - 1) + abs(0.34 - 0)) / 4)
    bins = evaluation((0, ONE), (1, ONE), (1, OTHER), (2, THIRD)).scores.calibration.as_json()
    assert [(round(each["from"] * BINS), each["images"]) for each in bins] == [(5, 1), (10, 2), (11, 1)]
    assert [each["accuracy"] for each in bins] == [0, 0.5, 1]


def test_a_bin_holds_its_upper_end_and_the_first_one_0() -> None:
    bins = CalibrationBins(np.asarray([1.0, 14 / 15, 0.0], np.float64), np.asarray([True, True, False])).as_json()
    assert [round(each["to"] * BINS) for each in bins] == [1, 14, 15]


def test_sets_and_their_size_by_hand() -> None:
    """At 0.2 the first image's set is a and b, the second's too, the third's b alone, the last's all three."""
    rows = ((0, ONE), (2, ONE), (1, OTHER), (2, THIRD))
    found = evaluation(*rows, least=0.2).measured()
    assert (found["set_coverage"], found["set_size"]) == (0.75, pytest.approx((2 + 2 + 1 + 3) / 4))
    first = evaluation(*rows, least=0.9).measured()
    assert (first["set_coverage"], first["set_size"]) == (0.5, 1), "the first class is always in it"
    assert not {"set_coverage", "set_size", "out_of_distribution"} & set(evaluation(*rows).measured())
    assert evaluation(*rows).as_json()["set_coverage"] is None


def test_a_class_that_the_model_does_not_know_is_in_no_set_and_in_no_curve() -> None:
    found = Evaluation(
        "test", ("a", "b", "c", "d"), np.asarray([3, 0, 1]), np.asarray([ONE, ONE, OTHER], np.float32),
        (Path("1"), Path("2"), Path("3")), least=0.05,
    )  # fmt: skip
    assert found.measured()["set_coverage"] == pytest.approx(2 / 3)
    assert found.scores.ranked_classes == [0, 1]
    assert found.per_class["d"] == {"labels": 1, "precision": 0, "recall": 0, "f1": 0}


def test_what_the_gate_compares_is_better_the_more_it_is() -> None:
    found = evaluation((0, ONE), (2, ONE), (1, OTHER), least=0.2)
    assert set(found.metrics()) == {"macro_f1", "accuracy"}
    assert {"ece", "set_size", "set_coverage", "weighted_f1", "roc_auc", "average_precision"} <= set(found.measured())
    with pytest.raises(DataError, match="gives no top5"):
        found.resampled("top5", np.ones((1, 3), np.int64))


def test_areas_of_very_many_images_have_intervals_of_fewer_resamples(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    truth = rng.integers(0, 3, 300)
    odds = rng.random((300, 3)) + np.eye(3)[truth] / 2
    rows = [(int(class_id), tuple(row / row.sum())) for class_id, row in zip(truth, odds, strict=True)]
    every = evaluation(*rows)
    usual = every.intervals()
    assert every.scores.curve_resamples == RESAMPLES
    monkeypatch.setattr(scores, "_MOST_STEPS", 1)
    few = evaluation(*rows)
    assert few.scores.curve_resamples == 100
    for name in scores.CURVES:
        assert few.intervals()[name] != usual[name]
        assert few.intervals()[name] == pytest.approx(usual[name], abs=0.01)
    assert few.intervals()["macro_f1"] == usual["macro_f1"]


def test_one_class_alone_has_no_area_and_no_nan_in_its_json() -> None:
    found = evaluation((0, ONE), (0, THIRD)).as_json()
    assert found["roc_auc"] is found["average_precision"] is None
    assert "nan" not in str(found).lower()


@settings(max_examples=25)
@given(answers())
def test_intervals_hold_what_was_measured(given: Answers) -> None:
    names = tuple(f"class {number}" for number in range(given.classes))
    paths = tuple(Path(str(number)) for number in range(len(given.truth)))
    found = Evaluation("test", names, given.truth, given.probabilities, paths, least=0.3)
    assert set(found.intervals()) == set(found.measured())
    for name in ("accuracy", "set_coverage", "set_size", "ece"):
        low, high = found.intervals()[name]
        assert low - 1e-9 <= found.measured()[name] <= high + 1e-9
    assert set(found.class_intervals) == set(found.per_class)
    assert "nan" not in str(found.as_json()).lower()


@pytest.mark.parametrize("images", [1, 20, 128])
def test_where_nothing_is_wrong_chance_still_may_do_something(images: int) -> None:
    """Of a model that is right in 0.025 ** (1 / n), n images are all right in one of 40 samples."""
    low, high = interval(np.ones(RESAMPLES), images)
    assert (low**images, high) == (pytest.approx(0.025), 1)
    assert interval(np.zeros(RESAMPLES), images) == (0, pytest.approx(1 - low))
    assert interval(np.ones(RESAMPLES)) == (1, 1), "a difference that is the same in all"


def test_95_of_100_intervals_of_the_accuracy_hold_the_true_one() -> None:
    rng, weights, held = np.random.default_rng(0), resamples(150), 0
    for _ in range(200):
        right = rng.random(150) < 0.85
        low, high = interval(weights @ right / 150, 150)
        held += low <= 0.85 <= high
    assert 0.90 <= held / 200 <= 0.99


@pytest.mark.parametrize("gap", [0.0, 0.15])
def test_most_intervals_of_the_calibration_error_hold_the_true_one(gap: float) -> None:
    """Percentiles alone would hold none of those of a model without any."""
    rng, weights, held = np.random.default_rng(0), resamples(100), 0
    for _ in range(60):
        confidence = (0.4 + 0.6 * rng.beta(5, 1.5, 100)).astype(np.float32)
        low, high = CalibrationBins(confidence, rng.random(100) < confidence - gap).error_interval(weights)
        held += low <= gap <= high
    assert held / 60 >= 0.85
