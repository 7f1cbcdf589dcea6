"""A photo of twelve megapixels is decoded small: the model must find the same in it."""

from __future__ import annotations

import zipfile
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from handful_core.package.archive import read_folder
from handful_core.runtime.model import VisionModel, load_model
from handful_core.vision.decode import decode_image, decode_reduced

STARTER = Path(__file__).parents[3] / "models" / "starter.zip"
_SHARE = 0.01
"""Of the image's side: how far an edge may move."""
_CONFIDENCE = 0.4


@pytest.fixture
def model(tmp_path: Path) -> VisionModel:
    """The starter model, out of its backup."""
    if not STARTER.exists():
        pytest.skip("models/starter.zip is not there")
    with zipfile.ZipFile(STARTER) as backup:
        manifest = next(name for name in backup.namelist() if name.endswith("/package/manifest.json"))
        folder = manifest.removesuffix("manifest.json")
        backup.extractall(tmp_path, [name for name in backup.namelist() if name.startswith(folder)])
    return load_model(read_folder(tmp_path / folder), 1)


def enlarged(file: Path) -> bytes:
    """A picture as a camera of twelve megapixels would have sent it."""
    small = decode_image(file.read_bytes())
    factor = (12e6 / (small.shape[0] * small.shape[1])) ** 0.5
    large = cv2.resize(small, None, fx=factor, fy=factor, interpolation=cv2.INTER_CUBIC)
    return cv2.imencode(".jpg", large, [cv2.IMWRITE_JPEG_QUALITY, 92])[1].tobytes()


def worst_edge(model: VisionModel, photo: bytes) -> tuple[float, int]:
    """How far an edge moved at most, as a share of the image's longer side; and how many boxes there were."""
    spec = model.manifest.input
    picture = decode_reduced(photo, enough=max(spec.width, spec.height))
    assert picture.pixels.shape[1] * 2 <= picture.width, "it was decoded small"
    # Each class by itself: of two that are as sure of one hand, a thousandth decides which is served.
    options = replace(model.postprocess_options(_CONFIDENCE - 0.1), class_agnostic=False)
    (full,) = model.detect(decode_image(photo), options)
    small = model.detect(picture.pixels, options)[0].scaled(*picture.scale)
    sure = full.above(_CONFIDENCE)
    moved = [0.0]
    for box, label in zip(sure.boxes, sure.classes, strict=True):
        same = small.boxes[small.classes == label]
        assert len(same), "a box was lost"
        moved.append(float(np.abs(same - box).max(axis=1).min()) / max(picture.width, picture.height))
    return max(moved), len(sure)


def test_boxes_in_photos_of_twelve_megapixels_stay_within_a_hundredth(model: VisionModel, shared_data: Path) -> None:
    files = sorted((shared_data / "fingers-office-1000" / "assets").glob("*.jpg"))[::100]
    moved = [worst_edge(model, enlarged(file)) for file in files]
    assert sum(boxes for _, boxes in moved) >= len(files) // 2, "there is something to compare"
    assert max(share for share, _ in moved) <= _SHARE
