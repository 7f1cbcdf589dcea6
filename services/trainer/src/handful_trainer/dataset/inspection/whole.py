"""Inspecting an image by decoding all of it, as serving does."""

from __future__ import annotations

from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from handful_core.vision.decode import Pixels, decode_reduced
from handful_core.vision.pillow_images import PILLOW_ERRORS, open_image, orientation_of
from handful_trainer.dataset.inspection.facts import ImageFacts, WriteMode
from handful_trainer.dataset.inspection.phash import MIN_SIDE

SMALLEST_SIDE = 10
"""Pixels. Ultralytics skips smaller images."""
_LINKABLE = frozenset({"JPEG", "PNG", "WEBP", "BMP"})
"""What Ultralytics reads as serving does: both by OpenCV, and OpenCV's colours are right."""
_ENOUGH = 8 * MIN_SIDE
"""Pixels of the longer side that the perceptual hash needs at most: a JPEG is decoded no larger."""
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
    decoded = decode_reduced(data, enough=_ENOUGH)
    width, height = decoded.width, decoded.height
    if min(width, height) < SMALLEST_SIDE:
        return Inspection(facts._replace(defect="too_small", detail=f"{width} x {height} pixels"))
    write_mode, orientation = _write_mode(facts.format, data)
    facts = facts._replace(width=width, height=height, orientation=orientation, write_mode=write_mode)
    return Inspection(facts, _reduced_grey(decoded.pixels))


def _reduced_grey(pixels: Pixels) -> NDArray[np.uint8]:
    image = Image.fromarray(cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB))
    return np.asarray(image.convert("L").resize((MIN_SIDE, MIN_SIDE), _BOX))


def _write_mode(form: str, data: bytes) -> tuple[WriteMode, int]:
    """How the image gets into the prepared folder, and its orientation."""
    with open_image(data) as image:
        mode, orientation = image.mode, orientation_of(image)
        if form not in _LINKABLE or not _is_sound_picture(image):
            return WriteMode.PNG, orientation
    if orientation != 1:  # Inks (CMYK) cannot be coded anew by the tables that they have.
        inks = form == "JPEG" and mode not in {"L", "RGB"}
        return WriteMode.PNG if inks else WriteMode.UPRIGHT, orientation
    return WriteMode.SEAL if form == "JPEG" and lacks_end(form, data) else WriteMode.LINK, orientation


def _is_sound_picture(image: Image.Image) -> bool:
    """Is it one picture, and has Pillow nothing against it?

    Ultralytics asks Pillow, and would leave out what OpenCV does not mind.
    """
    try:
        if getattr(image, "n_frames", 1) > 1:
            return False
        image.verify()
    except PILLOW_ERRORS:
        return False
    return True
