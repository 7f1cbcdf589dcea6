"""Ultralytics sees in a prepared folder what we say is in it, and changes nothing of it or of the source."""

from __future__ import annotations

import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest

from fakes.exports import PicselliaExport, encoded, picture, turned, twelve
from handful_core.vision.decode import decode_image
from handful_trainer.dataset.preparation.prepare import prepare
from handful_trainer.dataset.prepared import PreparedDataset
from handful_trainer.dataset.settings import DatasetConfig


@pytest.fixture
def dataset(tmp_path: Path) -> PreparedDataset:
    """Images of all kinds, moved after they were prepared."""
    export = twelve(tmp_path / "pets")
    box = ("cat", 4, 6, 10, 20)
    for orientation in (3, 6, 8):
        export.add(f"turned-{orientation}", box, content=turned(orientation, orientation))
    export.add("trailer", box, content=encoded(picture(50)) + b"behind the end")
    for form in ("PNG", "WEBP", "BMP", "GIF", "TIFF"):
        export.add(f"form-{form}", box, content=encoded(picture(51), form))
    export.add("animated", box, content=encoded(picture(52), "PNG", save_all=True, append_images=[picture(53)]))
    made = prepare(config(export), tmp_path / "var")
    return PreparedDataset.open(shutil.move(made.root, tmp_path / "elsewhere"))


def config(export: PicselliaExport) -> DatasetConfig:
    return DatasetConfig(source="picsellia-export", path=export.write(), classes=("cat", "dog"))


def test_it_finds_all_images_whole_and_upright(dataset: PreparedDataset, tmp_path: Path) -> None:
    from ultralytics.data import YOLODataset
    from ultralytics.data.utils import check_det_dataset
    from ultralytics.utils.patches import imread

    source = {path: path.read_bytes() for path in (tmp_path / "pets" / "assets").iterdir()}
    prepared = {path: path.read_bytes() for path in dataset.root.rglob("images/*/*")}
    data = check_det_dataset(str(dataset.description), autodownload=False)
    assert list(data["names"].values()) == list(dataset.classes)
    seen = 0
    for split in ("train", "val", "test"):
        theirs = YOLODataset(img_path=data[split], data=data, task="detect", augment=False)
        found = {Path(label["im_file"]): label for label in theirs.labels}
        for path, (boxes, ids) in dataset.split(split):
            label = found.pop(path)
            height, width = label["shape"]
            assert (width, height) == (64, 48)
            assert imread(str(path)).shape == (48, 64, 3)
            assert np.array_equal(imread(str(path)), decode_image(path.read_bytes()))
            centre = label["bboxes"] * [width, height, width, height]
            corners = np.hstack([centre[:, :2] - centre[:, 2:] / 2, centre[:, :2] + centre[:, 2:] / 2])
            assert corners == pytest.approx(boxes, abs=0.01)
            assert label["cls"].ravel().tolist() == ids.tolist()
            seen += 1
        assert not found
    assert seen == dataset.report["usable_images"] == 22
    assert {path: path.read_bytes() for path in source} == source
    assert {path: path.read_bytes() for path in prepared} == prepared


def test_turned_photos_look_as_they_should(dataset: PreparedDataset) -> None:
    for orientation in (3, 6, 8):
        (path,) = dataset.root.rglob(f"images/*/turned-{orientation}.jpg")
        truth = np.asarray(picture(orientation), np.int16)[..., ::-1]
        for flags in (cv2.IMREAD_COLOR, cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION):
            assert np.abs(np.asarray(cv2.imread(str(path), flags), np.int16) - truth).mean() < 6


def test_broken_files_are_told_apart_where_ultralytics_has_replaced_pillows_open(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from ultralytics.utils.patches import image_open

    monkeypatch.setattr("PIL.Image.open", image_open)
    export = twelve(tmp_path / "pets")
    whole = encoded(picture(60))
    broken = {"garbled": b"\xff\xd8" + bytes(99) + b"\xff\xd9", "truncated": whole[:-99], "noise": b"?" * 99}
    for name, content in broken.items():
        export.add(name, content=content)
    report = prepare(config(export), tmp_path / "var").report
    assert {entry["asset"]: entry["problem"] for entry in report["defects"]} == {name: name for name in broken}
