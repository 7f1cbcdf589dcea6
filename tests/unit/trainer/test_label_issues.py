"""What counts as a label that is probably wrong."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from handful_core.vision.detections import Detections
from handful_trainer.dataset.errors import DamagedFileError, MissingSourceError
from handful_trainer.dataset.label_issues.issue import FoundIssues, LabelIssue, NamedBox, read_issues
from handful_trainer.tasks.classification.label_issues import doubts, out_of_fold_probabilities
from handful_trainer.tasks.detection.label_issues import Answered, Drawing, issues_of

CLASSES = ("one", "two")
USUAL = Drawing(overlap=0.9, spread=0.03)
BOX, ELSEWHERE = (10, 10, 50, 50), (100, 100, 150, 150)


def boxes(*found: tuple[tuple[float, float, float, float], int, float]) -> Detections:
    """Boxes with class and score."""
    return Detections(
        np.asarray([box for box, _, _ in found], np.float32).reshape(-1, 4),
        np.asarray([score for _, _, score in found], np.float32),
        np.asarray([class_id for _, class_id, _ in found], np.int64),
    )


def issues(truth: Detections, found: Detections) -> list[LabelIssue]:
    """The most suspicious first."""
    answered = Answered(Path("a.jpg"), "train", truth, found)
    return list(FoundIssues(list(issues_of(answered, CLASSES, USUAL)), 1, len(truth), out_of_fold=False).ranked())


def test_a_label_that_the_model_sees_is_not_suspicious() -> None:
    (issue,) = issues(boxes((BOX, 0, 1)), boxes((BOX, 0, 0.95)))
    assert issue.score < 0.1


def test_an_object_without_a_label_is_missed() -> None:
    first, second = issues(boxes((BOX, 0, 1)), boxes((BOX, 0, 0.95), (ELSEWHERE, 1, 0.9), (ELSEWHERE, 0, 0.2)))
    assert (first.kind, first.given) == ("missed", None)
    assert first.proposed == NamedBox("two", ELSEWHERE, pytest.approx(0.9))
    assert second.kind != "missed", "one object is missed once"


def test_a_label_of_nothing_is_spurious() -> None:
    (issue,) = issues(boxes((BOX, 0, 1)), boxes())
    assert (issue.kind, issue.score, issue.proposed) == ("spurious", 1.0, None)
    assert issue.given == NamedBox("one", BOX)


def test_a_label_of_another_class_is_wrong() -> None:
    (issue,) = issues(boxes((BOX, 0, 1)), boxes((BOX, 1, 0.9), (BOX, 0, 0.1)))
    assert issue.kind == "wrong class"
    assert issue.score == pytest.approx(0.9 * 0.9)
    assert issue.proposed is not None
    assert issue.proposed.name == "two"


def test_a_box_that_is_moved_is_badly_placed() -> None:
    moved = (25, 10, 65, 50)
    (issue,) = issues(boxes((moved, 0, 1)), boxes((BOX, 0, 0.9)))
    assert issue.kind == "badly placed"
    assert issue.score == pytest.approx(0.9, abs=0.01)


def test_boxes_that_are_all_drawn_wide_are_how_they_are_drawn() -> None:
    wide = (0, 0, 60, 60)  # Overlap 0.44 with what the detector draws.
    answered = [Answered(Path(f"{i}.jpg"), "train", boxes((wide, 0, 1)), boxes((BOX, 0, 0.9))) for i in range(30)]
    tight = [Answered(Path(f"{i}.jpg"), "train", boxes((BOX, 0, 1)), boxes((BOX, 0, 0.9))) for i in range(30)]
    assert Drawing.of(tight).overlap == pytest.approx(1)
    # Pairs that overlap by less than a half are no pairs: then the usual is assumed.
    assert Drawing.of(answered).overlap == pytest.approx(0.85)
    drawn = [Answered(a.image, a.split, boxes(((5, 5, 55, 55), 0, 1)), a.found) for a in answered]
    assert Drawing.of(drawn).overlap == pytest.approx(0.64)
    assert Drawing.of(drawn).doubt(0.64) < 0.1
    assert USUAL.doubt(0.64) > 0.9


def test_a_class_that_the_model_does_not_know_is_not_judged() -> None:
    answered = Answered(Path("a.jpg"), "train", boxes((BOX, 0, 1), (ELSEWHERE, 1, 1)), boxes())
    assert [issue.given.name for issue in issues_of(answered, CLASSES, USUAL, {0}) if issue.given] == ["one"]


@given(st.lists(st.tuples(st.integers(0, 80), st.integers(0, 80), st.integers(0, 1), st.floats(0.01, 1)), max_size=6),
       st.lists(st.tuples(st.integers(0, 80), st.integers(0, 80), st.integers(0, 1)), max_size=4))  # fmt: skip
def test_each_label_has_one_issue_at_most_and_scores_lie_between_0_and_1(
    answers: list[tuple[int, int, int, float]], labels: list[tuple[int, int, int]]
) -> None:
    truth = boxes(*(((x, y, x + 20, y + 20), class_id, 1.0) for x, y, class_id in labels))
    found = boxes(*(((x, y, x + 20, y + 20), class_id, score) for x, y, class_id, score in answers))
    all_of = issues(truth, found)
    assert all(0 <= issue.score <= 1 for issue in all_of)
    assert sum(issue.given is not None for issue in all_of) <= len(labels)
    assert sum(issue.given is None for issue in all_of) <= len(answers)
    assert sorted(all_of, key=lambda issue: -issue.score) == all_of


def test_flipped_labels_come_first_and_no_head_learnt_them() -> None:
    chance = np.random.default_rng(0)
    truth = np.repeat([0, 1, 2], 60)
    features = (np.eye(3)[truth] * 6 + chance.normal(size=(180, 3))).astype(np.float32)
    flipped = chance.choice(180, 9, replace=False)
    labels = truth.copy()
    labels[flipped] = (labels[flipped] + 1) % 3
    scores = doubts(out_of_fold_probabilities(features, labels, np.arange(180)), labels)
    assert set(np.argsort(-scores)[:9].tolist()) == set(flipped.tolist())


def test_copies_of_an_image_do_not_vouch_for_its_label() -> None:
    chance = np.random.default_rng(1)
    truth = np.repeat([0, 1], 40)
    features = (np.eye(2)[truth] * 4 + chance.normal(size=(80, 2))).astype(np.float32)
    # Twelve copies of one picture of class 0, all labelled 1, lie where nothing else lies.
    copies = np.tile(np.asarray([[5, 0]], np.float32), (12, 1))
    rows, labels = np.vstack([features, copies]), np.concatenate([truth, np.ones(12, np.int64)])
    alone = doubts(out_of_fold_probabilities(rows, labels, np.arange(92)), labels)[80:]
    together = doubts(out_of_fold_probabilities(rows, labels, np.asarray([*range(80), *[80] * 12])), labels)[80:]
    assert together.min() > alone.max()


def test_a_list_that_is_none_is_refused(tmp_path: Path) -> None:
    with pytest.raises(MissingSourceError, match=r"no .*issues\.json"):
        read_issues(tmp_path)
    for content in ("[]", "{", json.dumps({"schema": 2, "issues": []}), json.dumps({"schema": 1})):
        (tmp_path / "issues.json").write_text(content)
        with pytest.raises(DamagedFileError, match=r"issues\.json"):
            read_issues(tmp_path)
