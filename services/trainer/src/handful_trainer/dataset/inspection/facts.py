"""What is known of an image's file once it was looked at."""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple


class WriteMode(StrEnum):
    """How an image comes into the prepared dataset, so that every reader sees it upright and whole."""

    LINK = "link"
    """As it is."""
    SEAL = "seal"
    """Copied and ended as a JPEG should be: otherwise Ultralytics would write it anew, with loss."""
    UPRIGHT = "upright"
    """Written upright: not every reader honours the EXIF orientation."""
    PNG = "png"
    """Written as PNG: a format, or several frames, that not every reader knows."""


class ImageFacts(NamedTuple):
    """What a look at an image's file brought out."""

    size: int = 0
    """Bytes."""
    sha256: str = ""
    defect: str = ""
    """Empty if the image is usable; else missing, unreadable, empty, html, noise, unsupported, garbled, truncated,
    too_large or too_small."""
    detail: str = ""
    """What the decoder said, for the report."""
    format: str = ""
    width: int = 0
    """Pixels of the upright image."""
    height: int = 0
    """Pixels of the upright image."""
    orientation: int = 1
    """EXIF orientation, 1 to 8; 1 is upright."""
    treatment: WriteMode = WriteMode.LINK
    look: int = -1
    """What it looks like: see `likeness`. -1 if nothing can be said."""
    decoded: bool = True
    """False if only its structure was looked at: whether its pixels make sense is not known."""
