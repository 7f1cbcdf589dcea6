"""The frames of video files."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np

from handful_core.errors import DataError
from handful_core.vision.decode import Pixels

_ENOUGH = 0.9
"""Of the frames that a file announces. Some containers only estimate them."""


class Frame(NamedTuple):
    """A picture of a video."""

    number: int
    """From 0."""
    seconds: float
    """Since the video's beginning."""
    pixels: Pixels


def frames(path: Path, every: int = 1) -> Iterator[Frame]:
    """The frames of a video, upright.

    Args:
        path: a file that begins as a video. FFmpeg would follow the addresses in a playlist.
        every: 1 for all frames, 2 for every second one.

    Raises:
        DataError: it cannot be read, or breaks off. What came before has been given.
    """
    # By its whole path: FFmpeg takes what stands before a colon for a protocol.
    capture = cv2.VideoCapture(str(path.absolute()), cv2.CAP_FFMPEG)
    try:
        if not capture.isOpened():
            raise DataError(f"{path} cannot be read as a video", "it is damaged, or FFmpeg does not know its kind")
        number = 0
        while capture.grab():
            if number % every == 0:
                seconds = capture.get(cv2.CAP_PROP_POS_MSEC) / 1e3
                whole, pixels = capture.retrieve()
                if not whole:
                    break
                yield Frame(number, round(seconds, 3), np.asarray(pixels, np.uint8))
            number += 1
        announced = capture.get(cv2.CAP_PROP_FRAME_COUNT)
        if number < max(1.0, _ENOUGH * announced):
            raise DataError(f"{path} breaks off after {number} of {announced:.0f} frames", "save it anew")
    finally:
        capture.release()
