"""What the inspection of an image file found."""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple


class WriteMode(StrEnum):
    """How an image gets into the prepared dataset, so that every reader sees it upright and whole."""

    LINK = "link"
    """Unchanged: linked, or copied where links do not work."""
    SEAL = "seal"
    """Copied, with the missing JPEG end marker added: else Ultralytics re-encodes the file, which loses quality."""
    UPRIGHT = "upright"
    """Rewritten upright, since not every reader applies the EXIF orientation."""
    PNG = "png"
    """Rewritten as PNG: the format, or its several frames, are not supported by every reader."""


class ImageFacts(NamedTuple):
    """What the inspection of one image file found.

    A named tuple, since many thousands of them are pickled between processes.
    """

    size: int = 0
    """Bytes."""
    sha256: str = ""
    defect: str = ""
    """Empty if the image is usable; else missing, unreadable, empty, html, noise, unsupported, garbled, truncated,
    too_large or too_small."""
    detail: str = ""
    """The decoder's message, for the report."""
    format: str = ""
    """Pillow's name of the format."""
    width: int = 0
    """Pixels of the upright image."""
    height: int = 0
    """Pixels of the upright image."""
    orientation: int = 1
    """EXIF orientation, 1 to 8; 1 is upright."""
    write_mode: WriteMode = WriteMode.LINK
    phash: int = -1
    """Perceptual hash, 64 bits: see `perceptual_hashes`. -1 if there is none."""
    decoded: bool = True
    """False if only the file's structure was checked, so that garbled pixels go unnoticed."""
