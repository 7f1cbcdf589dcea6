"""Inspecting an image by decoding all of it, as serving does."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from handful_core.vision.decode import Pixels, decode_image, read_header
from handful_core.vision.pillow_images import PILLOW_ERRORS, open_image
from handful_trainer.dataset.inspection.facts import ImageFacts, WriteMode
from handful_trainer.dataset.inspection.phash import MIN_SIDE

SMALLEST_SIDE = 10
"""Pixels. Ultralytics skips smaller images."""
_LINKABLE = frozenset({"JPEG", "PNG", "WEBP", "BMP"})
"""What Ultralytics reads as serving does: both by OpenCV, and OpenCV's colours are right."""
_BOX = Image.Resampling.BOX


class Inspection(NamedTuple):
    """What was found in a file, and the pixels that its perceptual hash is made from."""

    facts: ImageFacts
    """Without the perceptual hash."""
    grey: NDArray[np.uint8] | None = None
    """(height, width): the upright image, reduced; None if it is unusable or was not decoded."""


def lacks_end(form: str, data: bytes) -> bool:
    """Does the file lack its format's end marker, or bytes of the size that it states? False where it has neither."""
    if form == "WEBP":
        return int.from_bytes(data[4:8], "little") + 8 > len(data)
    if form == "BMP":
        return int.from_bytes(data[2:6], "little") > len(data)
    if form == "PNG":
        return b"IEND\xaeB`\x82" not in data
    return not data.endswith({"JPEG": b"\xff\xd9", "GIF": b";"}.get(form, b""))


def inspect_whole(facts: ImageFacts, data: bytes) -> Inspection:
    """Decode an image to its end.

    Args:
        facts: size, sha256 and format.
        data: the file's content.

    Raises:
        ImageError: one of its kinds: it cannot be used, here or in serving.
    """
    header = read_header(data)
    pixels = decode_image(data)
    height, width = pixels.shape[:2]
    if min(width, height) < SMALLEST_SIDE:
        return Inspection(facts._replace(defect="too_small", detail=f"{width} x {height} pixels"))
    write_mode = _write_mode(facts.format, data, header.orientation)
    facts = facts._replace(width=width, height=height, orientation=header.orientation, write_mode=write_mode)
    return Inspection(facts, _reduced_grey(pixels))


def _reduced_grey(pixels: Pixels) -> NDArray[np.uint8]:
    image = Image.fromarray(np.ascontiguousarray(pixels[..., ::-1]))
    return np.asarray(image.convert("L").resize((MIN_SIDE, MIN_SIDE), _BOX))


def _write_mode(form: str, data: bytes, orientation: int) -> WriteMode:
    if form not in _LINKABLE:
        return WriteMode.PNG
    try:
        with open_image(data) as image:
            frames, mode = getattr(image, "n_frames", 1), image.mode
            image.verify()
    except PILLOW_ERRORS:  # Ultralytics would leave it out: it asks Pillow, and serving OpenCV.
        return WriteMode.PNG
    if frames > 1:
        return WriteMode.PNG
    if orientation != 1:  # Inks (CMYK) cannot be coded anew by the tables that they have.
        return WriteMode.PNG if form == "JPEG" and mode not in {"L", "RGB"} else WriteMode.UPRIGHT
    return WriteMode.SEAL if form == "JPEG" and lacks_end(form, data) else WriteMode.LINK
