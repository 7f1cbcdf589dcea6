from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from handful_core.package import OutputLayout
from handful_core.vision import postprocess as heads
from handful_core.vision.detections import box_iou
from handful_core.vision.postprocess import PostprocessOptions, postprocess


def raw_output(seed: int, anchors: int, classes: int) -> np.ndarray:
    """(1, 4 + classes, anchors) with many overlaps."""
    rng = np.random.default_rng(seed)
    centres, sizes = rng.uniform(10, 54, (2, anchors)), rng.uniform(4, 40, (2, anchors))
    return np.float32(np.concatenate([centres, sizes, rng.uniform(0, 1, (classes, anchors))]))[None]


def plain_suppression(output: np.ndarray, options: PostprocessOptions) -> list[tuple[int, float, tuple[float, ...]]]:
    """Non-maximum suppression in the plainest words."""
    candidates = []
    for anchor in output[0].T:
        x, y, w, h, *scores = anchor.tolist()
        best = int(np.argmax(scores))
        if scores[best] > options.confidence:
            candidates.append((best, scores[best], (x - w / 2, y - h / 2, x + w / 2, y + h / 2)))
    kept: list[tuple[int, float, tuple[float, ...]]] = []
    for one in sorted(candidates, key=lambda c: -c[1]):
        rivals = [k for k in kept if options.class_agnostic or k[0] == one[0]]
        if all(box_iou(np.float32([one[2]]), np.float32([k[2]]))[0, 0] <= options.iou for k in rivals):
            kept.append(one)
    return kept


@settings(deadline=None, max_examples=60)
@given(
    seed=st.integers(0, 10_000),
    anchors=st.integers(1, 60),
    classes=st.integers(1, 5),
    confidence=st.sampled_from([0.0, 0.1, 0.5, 0.9, 1.0]),
    iou=st.sampled_from([0.1, 0.45, 0.7]),
    class_agnostic=st.booleans(),
)
def test_raw_heads_agree_with_plain_suppression(
    seed: int, anchors: int, classes: int, confidence: float, iou: float, class_agnostic: bool
) -> None:
    output = raw_output(seed, anchors, classes)
    options = PostprocessOptions(confidence, iou, 1000, class_agnostic=class_agnostic)
    found = postprocess(output, OutputLayout.RAW, options)
    expected = plain_suppression(output, options)
    assert found.classes.tolist() == [c for c, _, _ in expected]
    assert np.allclose(found.scores, [s for _, s, _ in expected])
    assert np.allclose(found.boxes, np.float32([b for _, _, b in expected]).reshape(-1, 4), atol=1e-4)


TWO_ON_ONE = {
    OutputLayout.RAW: [[30, 30], [30, 30], [20, 20], [20, 20], [0.75, 0.1], [0.2, 0.875]],
    OutputLayout.NMS_FREE: [[20, 20, 40, 40, 0.75, 0], [20, 20, 40, 40, 0.875, 1], [0, 0, 0, 0, 0, 0]],
    OutputLayout.NMS_IN_GRAPH: [[20, 20, 40, 40, 0.875, 1], [20, 20, 40, 40, 0.75, 0], [0, 0, 0, 0, 0, 0]],
}
"""Two boxes of two classes at one place, as each head gives them."""


@pytest.mark.parametrize("head", TWO_ON_ONE)
def test_boxes_of_different_classes_are_one_object_only_if_the_package_says_so(head: OutputLayout) -> None:
    output = np.float32([TWO_ON_ONE[head]])
    apart = postprocess(output, head, PostprocessOptions(0.25, 0.5))
    together = postprocess(output, head, PostprocessOptions(0.25, 0.5, class_agnostic=True))
    assert list(zip(apart.classes.tolist(), apart.scores.tolist(), strict=True)) == [(1, 0.875), (0, 0.75)]
    assert list(zip(together.classes.tolist(), together.scores.tolist(), strict=True)) == [(1, 0.875)]


@pytest.mark.parametrize("head", TWO_ON_ONE)
def test_boxes_that_overlap_less_stay_two_objects(head: OutputLayout) -> None:
    output = np.float32([TWO_ON_ONE[head]])
    if head is OutputLayout.RAW:
        output[0, 0, 1] += 8  # Overlap 0.43.
    else:
        output[0, 0, [0, 2]] += 8
    assert len(postprocess(output, head, PostprocessOptions(0.25, 0.5, class_agnostic=True))) == 2
    assert len(postprocess(output, head, PostprocessOptions(0.25, 0.4, class_agnostic=True))) == 1


def test_an_anchor_gives_its_best_class_or_all_of_them() -> None:
    output = np.float32([[[30], [30], [20], [20], [0.625], [0.875]]])
    best = postprocess(output, OutputLayout.RAW, PostprocessOptions(0.5))
    every = postprocess(output, OutputLayout.RAW, PostprocessOptions(0.5, 0.7, 300, every_class=True))
    assert list(zip(best.classes.tolist(), best.scores.tolist(), strict=True)) == [(1, 0.875)]
    assert every.classes.tolist() == [1, 0]
    assert (every.boxes == every.boxes[0]).all()


@pytest.mark.parametrize("every_class", [False, True])
def test_of_too_many_candidates_the_surest_are_kept(monkeypatch: pytest.MonkeyPatch, every_class: bool) -> None:
    monkeypatch.setattr(heads, "_MAX_CANDIDATES", 5)
    output = raw_output(1, 200, 3)
    found = postprocess(output, OutputLayout.RAW, PostprocessOptions(0.1, 1.0, 300, every_class=every_class))
    scores = output[0, 4:] if every_class else output[0, 4:].max(axis=0)
    assert found.scores.tolist() == sorted(scores.ravel().tolist(), reverse=True)[:5]


@pytest.mark.parametrize("head", [OutputLayout.NMS_FREE, OutputLayout.NMS_IN_GRAPH])
def test_rows_are_filtered_and_sorted(head: OutputLayout) -> None:
    rows = [[1, 2, 3, 4, 0.4, 2], [5, 6, 7, 8, 0.9, 1], [0, 0, 0, 0, 0, 0], [9, 9, 10, 10, 0.25, 0]]
    found = postprocess(np.float32([rows]), head, PostprocessOptions(0.25))
    assert found.classes.tolist() == [1, 2]
    assert found.boxes.tolist() == [[5, 6, 7, 8], [1, 2, 3, 4]]
    assert found.classes.dtype == np.int64


@pytest.mark.parametrize("head", [OutputLayout.RAW, OutputLayout.NMS_FREE])
def test_at_most_so_many(head: OutputLayout) -> None:
    if head is OutputLayout.RAW:
        output = raw_output(3, 100, 2)
    else:
        output = np.float32([[[0, 0, 1, 1, i / 100, 0] for i in range(1, 51)]])
    found = postprocess(output, head, PostprocessOptions(0.0, 0.9, 7))
    assert len(found) == 7
    assert found.scores.tolist() == sorted(found.scores.tolist(), reverse=True)
    assert found.scores.min() >= 0.43


@pytest.mark.parametrize(
    ("output", "head"),
    [(np.zeros((1, 9, 20), np.float32), OutputLayout.RAW), (np.zeros((1, 300, 6), np.float32), OutputLayout.NMS_FREE)],
)
def test_nothing_is_found_in_nothing(output: np.ndarray, head: OutputLayout) -> None:
    found = postprocess(output, head, PostprocessOptions(0.25))
    assert len(found) == 0
    assert found.boxes.shape == (0, 4)


def test_the_threshold_itself_does_not_pass() -> None:
    output = np.float32([[[30], [30], [20], [20], [0.5]]])
    assert len(postprocess(output, OutputLayout.RAW, PostprocessOptions(0.5))) == 0
    assert len(postprocess(output, OutputLayout.RAW, PostprocessOptions(0.4999))) == 1
