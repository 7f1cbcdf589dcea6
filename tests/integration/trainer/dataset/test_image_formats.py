"""Files that are called images are found by the sources, and read or named: none is passed over."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fakes.exports import coco_file, encoded, picture, yolo_folder
from handful_core.vision import formats
from handful_core.vision.decode import decode_image
from handful_trainer.dataset.preparation.prepare import prepare
from handful_trainer.dataset.prepared import PreparedDataset
from handful_trainer.dataset.settings import DatasetConfig

BOX = "0 0.5 0.5 0.5 0.5\n"
READ = {
    "a.avif": "AVIF",
    "b.jfif": "JPEG",
    "c.jpe": "JPEG",
    "d.dib": "BMP",
    "e.tif": "TIFF",
    "f.GIF": "GIF",
    "g.webp": "WEBP",
}
NOT_READ = {"p.jp2": "JPEG2000", "q.ppm": "PPM", "r.dds": "DDS"}
STUBS = {
    "s.jxl": b"\xff\x0a\xfa\x1f",
    "t.psd": b"8BPS\0\1",
    "u.svg": b"<svg viewBox='0 0 9 9'/>",
    "v.cr2": b"II*\0\x10\0\0\0CR\x02\0",
}


def accounted(dataset: PreparedDataset) -> dict[str, str]:
    lines = (dataset.root / "assets.jsonl").read_text().splitlines()
    return {Path(line["name"]).name: line["status"] for line in map(json.loads, lines)}


def fill(folder: Path) -> None:
    for number, (name, form) in enumerate((READ | NOT_READ).items()):
        (folder / name).write_bytes(encoded(picture(number + 50), form))
    for name, start in STUBS.items():
        (folder / name).write_bytes(start + bytes(200))


@pytest.mark.parametrize("source", ["yolo", "coco"])
def test_every_image_is_read_or_named(source: str, tmp_path: Path) -> None:
    plain = {f"z{number}.jpg": BOX for number in range(9)}
    names = [*READ, *NOT_READ, *STUBS]
    if source == "yolo":
        folder = yolo_folder(tmp_path / "set", plain)
        for name in names:
            (folder / "labels" / name).with_suffix(".txt").write_text(BOX)
        fill(folder / "images")
        config = DatasetConfig(source="yolo", path=folder)
    else:
        (tmp_path / "images").mkdir()
        file = coco_file(tmp_path / "set.json", {name: [("cat", 4, 4, 20, 20)] for name in [*plain, *names]})
        for number, name in enumerate(plain):
            (file.parent / name).write_bytes(encoded(picture(number)))
        fill(file.parent)
        config = DatasetConfig(source="coco", path=file, images=file.parent)
    dataset = prepare(config, tmp_path / "var")
    found = accounted(dataset)
    assert {name: found[name] for name in names} == {
        **dict.fromkeys(READ, "usable"),
        **dict.fromkeys([*NOT_READ, *STUBS], "unsupported"),
    }
    assert len(found) == len(plain) + len(names)


@pytest.mark.skipif(not formats.has_heif(), reason="pillow-heif is not installed")
def test_heic_is_written_as_serving_sees_it(tmp_path: Path) -> None:
    import pillow_heif

    pillow_heif.register_heif_opener()
    folder = yolo_folder(tmp_path / "set", {f"z{number}.jpg": BOX for number in range(9)})
    exif = Image.Exif()
    exif[0x0112] = 6
    original = encoded(picture(20), "HEIF", exif=exif.tobytes())  # Its boxes turn it, too.
    (folder / "images" / "photo.HEIC").write_bytes(original)
    (folder / "labels" / "photo.txt").write_text(BOX)
    dataset = prepare(DatasetConfig(source="yolo", path=folder), tmp_path / "var")
    (written,) = dataset.root.rglob("*photo*.png")
    pixels = decode_image(written.read_bytes())
    assert pixels.shape == (64, 48, 3)
    assert np.array_equal(pixels, decode_image(original))
