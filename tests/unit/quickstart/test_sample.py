from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from handful_core.errors import ConfigError
from handful_quickstart.sample import (
    CLASSES,
    LEAF_CLASSES,
    LeafSampleSource,
    draw_folder,
    draw_leaf,
    draw_leaf_folder,
    draw_scene,
    leaf,
)
from handful_quickstart.sample.relief import View, raise_relief
from handful_quickstart.sample.scene import box_of
from handful_quickstart.sample.skeleton import GESTURES, build_skeleton
from handful_trainer.dataset.prepared import PreparedDataset
from handful_trainer.dataset.settings import DatasetConfig, SampleConfig


def test_the_same_arguments_draw_the_same_picture() -> None:
    first, boxes = draw_scene(3, 8, 96)
    again, same = draw_scene(3, 8, 96)
    assert np.array_equal(first, again)
    assert boxes == same
    assert not np.array_equal(first, draw_scene(4, 8, 96)[0])
    assert not np.array_equal(first, draw_scene(3, 9, 96)[0])


def test_scenes_show_every_class_several_hands_and_none() -> None:
    scenes = [draw_scene(0, number, 64)[1] for number in range(60)]
    assert {box.label for boxes in scenes for box in boxes} == set(CLASSES)
    assert {0, 1, 2, 3} == {len(boxes) for boxes in scenes}


def test_boxes_lie_in_the_picture() -> None:
    for number in range(20):
        pixels, boxes = draw_scene(1, number, 96)
        assert pixels.shape == (96, 96, 3)
        assert pixels.dtype == np.uint8
        for box in boxes:
            assert 0 <= box.left < box.right <= 96
            assert 0 <= box.top < box.bottom <= 96
            assert min(box.right - box.left, box.bottom - box.top) > 96 * 0.08


@pytest.mark.parametrize("label", CLASSES)
def test_a_box_reaches_from_the_finger_tips_to_the_wrist(label: str) -> None:
    """And no further: the arm is not in it."""
    rng = np.random.default_rng(1)
    skeleton = build_skeleton(GESTURES[label][0][0], back=False, rng=rng)
    view = View(np.eye(2) * 40, np.array([100.0, 120.0]), 40)
    box = box_of(label, raise_relief(skeleton, view, (200, 240)).hand, np.array([3, 5]))
    tips = [min(view.bone(b).start[1], view.bone(b).end[1]) - b.radius[1] * 40 for b in skeleton.bones]
    assert box.top - 5 == pytest.approx(min(tips), abs=4)
    assert box.bottom - 5 == pytest.approx(view.points(skeleton.palm)[:, 1].max(), abs=6)


def test_a_folder_of_drawings_is_a_dataset(tmp_path: Path) -> None:
    settings = SampleConfig(images=30, size=64)
    dataset = PreparedDataset.open(draw_folder(tmp_path / "hands", settings, seed=1))
    assert dataset.classes == CLASSES
    assert sum(dataset.split_sizes.values()) == 30
    samples = [sample for split in dataset.split_sizes for sample in dataset.split(split)]
    assert all(path.name.startswith("drawn-") for path, _ in samples)
    by_number = {int(path.stem.removeprefix("drawn-")): truth for path, truth in samples}
    for number, (boxes, ids) in by_number.items():
        truth = draw_scene(1, number, 64)[1]
        assert [CLASSES[i] for i in ids] == [box.label for box in truth]
        assert boxes == pytest.approx(np.array([box[1:] for box in truth]).reshape(-1, 4), abs=0.01)
    again = draw_folder(tmp_path / "again", settings, seed=1)
    files = sorted(path for path in (tmp_path / "hands").rglob("*") if path.is_file())
    assert [path.read_bytes() for path in files] == [
        (again / path.relative_to(tmp_path / "hands")).read_bytes() for path in files
    ]


def test_nothing_is_overwritten(tmp_path: Path) -> None:
    (tmp_path / "mine").touch()
    with pytest.raises(ConfigError, match="exists and is not empty"):
        draw_folder(tmp_path, SampleConfig(images=10, size=64), seed=1)


def test_the_same_arguments_draw_the_same_leaf() -> None:
    pixels, name = draw_leaf(3, 8, 96)
    assert pixels.shape == (96, 96, 3)
    assert pixels.dtype == np.uint8
    again, same = draw_leaf(3, 8, 96)
    assert np.array_equal(pixels, again)
    assert name == same
    assert not np.array_equal(pixels, draw_leaf(4, 8, 96)[0])
    assert not np.array_equal(pixels, draw_leaf(3, 12, 96)[0])


def test_leaves_take_turns_in_their_diseases() -> None:
    assert [draw_leaf(0, number, 64)[1] for number in range(8)] == [*LEAF_CLASSES, *LEAF_CLASSES]


def test_a_disease_changes_the_leaf_and_not_what_is_around_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that a classifier has to look at the leaf."""
    monkeypatch.setattr(leaf, "photograph", lambda canvas, _: np.asarray(np.clip(canvas * 255, 0, 255), np.uint8))
    for number in range(4, 12):
        ill, name = draw_leaf(5, number, 128)
        with monkeypatch.context() as patch:
            patch.setattr(leaf, "_SIGNS", dict.fromkeys(LEAF_CLASSES, lambda *_: None))
            well, _ = draw_leaf(5, number, 128)
        changed = np.abs(well.astype(int) - ill).max(axis=2) > 0
        assert changed.any() or name == "healthy"
        assert not changed[:2].any(), "the border is as before"
        assert changed.mean() < 0.5


def test_a_folder_of_drawn_leaves_is_read_by_the_source(tmp_path: Path) -> None:
    source = LeafSampleSource(DatasetConfig(source="sample-leaves", sample=SampleConfig(images=12, size=64)), tmp_path)
    found = source.read()
    assert {item.labels for item in found.items} == {(name,) for name in LEAF_CLASSES}
    assert {item.id for item in found.items} == {f"drawn-{number:05d}" for number in range(12)}
    for item in found.items:
        assert item.path is not None
        assert item.labels == (draw_leaf(0, int(item.id.removeprefix("drawn-")), 64)[1],)
    assert source.read() == found, "it was drawn once"
    with pytest.raises(ConfigError, match="exists and is not empty"):
        draw_leaf_folder(next(tmp_path.glob("drawn/*")), SampleConfig(images=12, size=64), 0)
