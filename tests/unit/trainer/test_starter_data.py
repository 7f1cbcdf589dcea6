"""The folder that the starter model is trained on: models/make_starter_data.py."""

from __future__ import annotations

import hashlib
import runpy
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
import yaml
from numpy.typing import NDArray

_SKIN = (120, 160, 220)
_CLASSES = {0: "0", 1: "five"}


def _dataset(root: Path, per_split: dict[str, int], seed: int) -> Path:
    """A prepared dataset: on each image one upright ellipse in the colour of skin, on a blue ground."""
    rng = np.random.default_rng(seed)
    for split, count in per_split.items():
        (root / "images" / split).mkdir(parents=True)
        (root / "labels" / split).mkdir(parents=True)
        for number in range(count):
            pixels = np.full((240, 320, 3), (200, 90, int(rng.integers(20, 60))), np.uint8)
            x, y = int(rng.integers(60, 100)), int(rng.integers(90, 150))
            cv2.ellipse(pixels, (x, y), (36, 70), 0, 0, 360, _SKIN, -1)
            cv2.imwrite(str(root / "images" / split / f"{split}-{number}.png"), pixels)
            row = f"{number % 2} {x / 320} {y / 240} {73 / 320} {141 / 240}"
            (root / "labels" / split / f"{split}-{number}.txt").write_text(row)
    (root / "data.yaml").write_text(yaml.safe_dump({"names": _CLASSES}))
    return root


@pytest.fixture
def built(repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    source = _dataset(tmp_path / "source", {"train": 6, "val": 2, "test": 2}, 1)
    test = _dataset(tmp_path / "held-out", {"train": 1, "val": 1, "test": 1}, 2)
    for name in ("first", "second"):
        words = [source, "--test", test, "--output", tmp_path / name, "--share", 0.5, "--singles", 40, "--empty", 3]
        monkeypatch.setattr(sys, "argv", ["make_starter_data.py", *map(str, words)])
        runpy.run_path(str(repository / "models" / "make_starter_data.py"), run_name="__main__")
    return tmp_path / "first"


def _contents(folder: Path) -> dict[str, str]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def _names(folder: Path, split: str) -> list[str]:
    return sorted(path.stem for path in (folder / "images" / split).iterdir())


def test_it_holds_a_share_of_the_images_the_made_pictures_and_the_test_images(built: Path, tmp_path: Path) -> None:
    assert yaml.safe_load((built / "data.yaml").read_text())["names"] == ["0", "five"]
    train = _names(built, "train")  # Half of 6 + 2: the source's test images are trained on.
    assert [name for name in train if name.startswith("0-")] == ["0-test-1", "0-train-1", "0-train-3", "0-train-5"]
    assert [len([n for n in train if n.startswith(kind)]) for kind in ("single-", "empty-")] == [40, 3]
    assert [n for n in _names(built, "val") if n.startswith("0-")] == ["0-val-0", "0-val-1"]
    assert len([n for n in _names(built, "val") if n.startswith("single-")]) == 6
    for split in ("train", "val", "test"):
        (image,) = (tmp_path / "held-out" / "images" / split).iterdir()
        assert (built / "images" / "test" / f"test-{image.name}").read_bytes() == image.read_bytes()


def test_the_same_input_gives_the_same_files(built: Path, tmp_path: Path) -> None:
    assert _contents(built) == _contents(tmp_path / "second")


def _skin(pixels: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Where a picture has a colour near that of skin, in any light."""
    hue, saturation, _ = np.moveaxis(cv2.cvtColor(pixels, cv2.COLOR_BGR2HSV).astype(int), -1, 0)
    return np.asarray((np.abs(hue - 12) < 10) & (saturation > 40))


def test_each_made_picture_has_its_box_around_its_hand(built: Path) -> None:
    shares = []
    for image in sorted((built / "images" / "train").glob("single-*.jpg")):
        pixels = cv2.imread(str(image))
        assert pixels is not None
        (row,) = (built / "labels" / "train" / f"{image.stem}.txt").read_text().splitlines()
        x, y, w, h = (float(value) for value in row.split()[1:])
        height, width = pixels.shape[:2]
        assert 0 <= x - w / 2 < x + w / 2 <= 1.000001
        assert 0 <= y - h / 2 < y + h / 2 <= 1.000001
        left, top = round((x - w / 2) * width), round((y - h / 2) * height)
        inside = pixels[top : round((y + h / 2) * height), left : round((x + w / 2) * width)]
        shares.append(float(np.mean(_skin(np.asarray(inside, np.uint8)))))
    assert np.median(shares) == pytest.approx(np.pi / 4, abs=0.08)  # Of an ellipse in its box; a turned one fills less.


def test_an_empty_picture_shows_no_hand(built: Path) -> None:
    for image in sorted((built / "images" / "train").glob("empty-*.jpg")):
        pixels = cv2.imread(str(image))
        assert pixels is not None
        assert not _skin(np.asarray(pixels, np.uint8)).any()
        assert (built / "labels" / "train" / f"{image.stem}.txt").read_text() == ""


def test_a_folder_that_exists_is_left_alone(built: Path, repository: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = _contents(built)
    with pytest.raises(SystemExit, match="2"):  # sys.argv is that of the last call.
        runpy.run_path(str(repository / "models" / "make_starter_data.py"), run_name="__main__")
    assert "second exists: name another folder" in capsys.readouterr().err
    assert _contents(built) == before
