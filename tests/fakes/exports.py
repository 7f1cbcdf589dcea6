"""Small datasets on disk in the shapes that sources read: a Picsellia export, a YOLO folder, a COCO folder."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from PIL import Image

Rectangle = tuple[str, float, float, float, float]
"""Label, left, top, width and height in pixels."""


def picture(seed: int, width: int = 64, height: int = 48) -> Image.Image:
    """Coloured noise, another for each seed."""
    chance = np.random.default_rng(seed)
    small = Image.fromarray(chance.integers(0, 256, (6, 8, 3), np.uint8))
    return small.resize((width, height), Image.Resampling.BICUBIC)


def encoded(image: Image.Image, form: str = "JPEG", **options: Any) -> bytes:
    """An image file's content."""
    file = io.BytesIO()
    image.save(file, form, **options)
    return file.getvalue()


def turned(seed: int, orientation: int) -> bytes:
    """A JPEG that must be turned by its EXIF orientation to look as `picture(seed)` does."""
    exif = Image.Exif()
    exif[0x0112] = orientation
    back = {
        3: Image.Transpose.ROTATE_180,
        6: Image.Transpose.ROTATE_90,
        8: Image.Transpose.ROTATE_270,
    }[orientation]
    return encoded(picture(seed).transpose(back), exif=exif.tobytes(), quality=95)


def senseless(seed: int) -> bytes:
    """A JPEG whose segments are all there, but no decoder can use its Huffman tables."""
    content = bytearray(encoded(picture(seed)))
    tables = content.index(b"\xff\xc4")
    content[tables + 5 : tables + 21] = b"\xff" * 16  # More codes of each length than there can be.
    return bytes(content)


def rectangle(label: str, x: float, y: float, width: float, height: float) -> dict[str, Any]:
    """A rectangle as Picsellia has it."""
    return {"x": x, "y": y, "w": width, "h": height, "label": label, "text": None, "attributes": {}}


class PicselliaExport:
    """A folder with assets/, assets.json and annotations.json that grows by `add`, and is written by `write`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.assets: list[dict[str, Any]] = []
        self.annotations: dict[str, Any] = {}
        (folder / "assets").mkdir(parents=True)

    def add(
        self,
        asset_id: str,
        *rectangles: Rectangle,
        status: str = "ACCEPTED",
        content: bytes | None = None,
        older: Sequence[Mapping[str, Any]] = (),
    ) -> Path:
        """Add an asset with one annotation, the newest, before those in `older`."""
        if content is None:
            content = encoded(picture(len(self.assets)))
        path = self.folder / "assets" / f"{asset_id}.jpg"
        path.write_bytes(content)
        self.assets.append({"id": asset_id, "data": {"filename": f"photo {asset_id}.jpg", "meta": {}}})
        newest = {"status": status, "rectangles": [rectangle(*r) for r in rectangles], "polygons": []}
        self.annotations[asset_id] = [newest, *older]
        return path

    def write(self) -> Path:
        """Write the JSON files; the folder."""
        (self.folder / "assets.json").write_text(json.dumps(self.assets))
        (self.folder / "annotations.json").write_text(json.dumps(self.annotations))
        return self.folder


def twelve(folder: Path) -> PicselliaExport:
    """An export of twelve images: cats, dogs, both, or nothing."""
    export = PicselliaExport(folder)
    for number in range(12):
        cat, dog = ("cat", 4 + number, 5, 20, 18), ("dog", 30, 10 + number, 16, 20)
        export.add(f"asset-{number:02d}", *[[cat], [dog], [cat, dog], []][number % 4])
    export.write()
    return export


def yolo_folder(
    folder: Path, images: Mapping[str, str | None], names: Sequence[str] = ("cat", "dog"), **keys: Any
) -> Path:
    """A YOLO folder.

    Args:
        folder: where to.
        images: path below images/ → content of its label file, None for no such file.
        names: class names.
        keys: further keys of data.yaml; by default a split for each folder below images/.
    """
    for number, (name, labels) in enumerate(images.items()):
        path = folder / "images" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(encoded(picture(number), "PNG" if name.endswith("png") else "JPEG"))
        if labels is not None:
            label = (folder / "labels" / name).with_suffix(".txt")
            label.parent.mkdir(parents=True, exist_ok=True)
            label.write_text(labels)
    splits = {Path(name).parts[0]: f"images/{Path(name).parts[0]}" for name in images if len(Path(name).parts) > 1}
    content = {**(splits or {"train": "images"}), "names": dict(enumerate(names)), **keys}
    (folder / "data.yaml").write_text(yaml.safe_dump(content))
    return folder


def coco_file(path: Path, boxes: Mapping[str, Sequence[Rectangle]], names: Sequence[str] = ("cat", "dog")) -> Path:
    """A COCO instances file; category ids begin at 1, as in COCO."""
    ids = {name: number for number, name in enumerate(boxes, 1)}
    annotations = [
        {"id": n, "image_id": ids[name], "category_id": names.index(label) + 1, "bbox": list(box), "iscrowd": 0}
        for n, (name, label, *box) in enumerate((name, *box) for name, found in boxes.items() for box in found)
    ]
    content = {
        "images": [{"id": number, "file_name": name, "width": 64, "height": 48} for name, number in ids.items()],
        "annotations": annotations,
        "categories": [{"id": number, "name": name} for number, name in enumerate(names, 1)],
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))
    return path
