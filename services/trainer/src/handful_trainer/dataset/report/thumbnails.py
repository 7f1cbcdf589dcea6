"""Small pictures for the report, with vector lines over them."""

from __future__ import annotations

import base64
import contextlib
import io
from dataclasses import dataclass
from pathlib import Path

from PIL import ImageOps

from handful_core.vision.decode import PILLOW_ERRORS
from handful_trainer.dataset.inspection.pillow import open_image
from handful_trainer.dataset.preparation.assets import Asset

_SIDE = 320
"""Longest side in pixels."""
_QUALITY = 78
_BEYOND = 0.35
"""Share of the image's size that is shown beyond its edges where boxes lie there."""
_PREVIEW = 96
"""Bytes of a file that is no image."""


@dataclass(frozen=True, slots=True)
class Outline:
    """A box as it is shown; pixels of the upright image."""

    left: float
    top: float
    width: float
    height: float
    text: str
    kind: str
    """kept, clipped or dropped."""
    hue: int = 0
    """Degrees of the colour circle, one for each class."""


@dataclass(frozen=True, slots=True)
class Thumbnail:
    """An image of the dataset, or what can be said in its place."""

    title: str
    note: str
    source: str = ""
    """data: address of a JPEG; empty if there is nothing to see."""
    width: int = 0
    """Pixels of the upright image."""
    height: int = 0
    """Pixels of the upright image."""
    outlines: tuple[Outline, ...] = ()
    words: str = ""
    """How a file begins that is no image."""

    @property
    def view(self) -> tuple[float, float, float, float]:
        """Left, top, width and height of what is shown: the image, and boxes that lie not far from it."""
        far_x, far_y = self.width * _BEYOND, self.height * _BEYOND
        left = max(min([0.0, *(o.left - 2 for o in self.outlines)]), -far_x)
        top = max(min([0.0, *(o.top - 2 for o in self.outlines)]), -far_y)
        right = min(max([self.width, *(o.left + o.width + 2 for o in self.outlines)]), self.width + far_x)
        bottom = min(max([self.height, *(o.top + o.height + 2 for o in self.outlines)]), self.height + far_y)
        return left, top, right - left, bottom - top


def picture_of(asset: Asset, outlines: tuple[Outline, ...], note: str = "") -> Thumbnail:
    """An asset with what is drawn over it."""
    name, facts = asset.item.name, asset.facts
    note = note or f"{asset.item.id}, {facts.width} x {facts.height}"
    if asset.item.path is None or facts.defect in {"missing", "unreadable"}:
        return Thumbnail(name, note, words="there is no file")
    if facts.defect:
        return _broken(asset.item.path, name, note)
    try:
        address, _, _ = _thumbnail(asset.item.path.read_bytes())
    except PILLOW_ERRORS:
        if facts.decoded:
            raise
        return Thumbnail(name, note, words="its pixels make no sense")
    return Thumbnail(name, note, address, facts.width, facts.height, outlines)


def _broken(path: Path, name: str, note: str) -> Thumbnail:
    """As much of a picture as a broken JPEG holds, the rest grey; of other files the first bytes."""
    data = path.read_bytes()
    if data.startswith(b"\xff\xd8"):
        with contextlib.suppress(OSError, SyntaxError, ValueError):
            # With an end put behind it the decoder is content.
            return Thumbnail(name, note, *_thumbnail(data + b"\xff\xd9"))
    begin = data[:_PREVIEW]
    words = begin.decode("ascii") if begin.isascii() else begin[:32].hex(" ")
    return Thumbnail(name, note, words=words or "no bytes")


def _thumbnail(data: bytes) -> tuple[str, int, int]:
    """The upright image made small, as a data: address, and the size of the original."""
    with open_image(data) as image:
        size = image.size
        shrink = min(1, _SIDE / max(size))
        image.draft("RGB", (int(size[0] * shrink), int(size[1] * shrink)))  # A large photo at a fraction of its size.
        upright = ImageOps.exif_transpose(image).convert("RGB")
    width, height = size if (size[0] < size[1]) == (upright.width < upright.height) else size[::-1]
    upright.thumbnail((_SIDE, _SIDE))
    written = io.BytesIO()
    upright.save(written, "JPEG", quality=_QUALITY)
    return f"data:image/jpeg;base64,{base64.b64encode(written.getvalue()).decode()}", width, height
