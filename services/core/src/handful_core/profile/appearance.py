"""What an image looks like, in ten features: size, light, sharpness, colours, and how it was compressed."""

from __future__ import annotations

import struct
from bisect import bisect_left
from collections.abc import Mapping

import cv2
import numpy as np

from handful_core.profile.features import FeatureValue
from handful_core.vision import formats
from handful_core.vision.decode import DecodedImage, Pixels

SIDE = 160
"""Longer side of the picture in which light and sharpness are measured; no JPEG is to be decoded smaller.

A picture of this size is the same whether a JPEG was decoded whole or at a part of its size. Blur of 3 pixels in photos
of 480 by 360 still separates the sharpness of blurred and sharp images: the Kolmogorov-Smirnov distance is 0.73.
"""
_COLOURS = 64
"""Both sides of the picture in which colours are measured."""
_DQT, _SCAN, _PADDING = 0xDB, 0xDA, 0xFF
_MAX_SEGMENTS = 64
"""Segments before the tables. Cameras write a dozen."""
_segment = struct.Struct(">BBH").unpack_from
_LUMINANCE = (
    16, 11, 10, 16, 24, 40, 51, 61, 12, 12, 14, 19, 26, 58, 60, 55, 14, 13, 16, 24, 40, 57, 69, 56, 14, 17, 22, 29, 51,
    87, 80, 62, 18, 22, 37, 56, 68, 109, 103, 77, 24, 35, 55, 64, 81, 104, 113, 92, 49, 64, 78, 87, 103, 121, 120, 101,
    72, 92, 95, 98, 112, 100, 103, 99,
)  # fmt: skip
"""The luminance table that the JPEG standard suggests (ITU-T T.81, table K.1). libjpeg scales it by the quality."""


def _table_sum(quality: int) -> int:
    """Sum of libjpeg's luminance table at a quality from 1 to 100."""
    scale = 5000 // quality if quality < 50 else 200 - 2 * quality
    return sum(min(255, max(1, (value * scale + 50) // 100)) for value in _LUMINANCE)


_SUMS = [_table_sum(quality) for quality in range(100, 0, -1)]
"""From quality 100 down: they rise."""


def appearance(data: bytes, image: DecodedImage) -> dict[str, FeatureValue]:
    """The features of an image, without its answer. Takes a quarter of a millisecond at 480 by 360 pixels.

    Args:
        data: the image file.
        image: the same, decoded, perhaps at a part of its size; before anything is blurred in it.

    Returns:
        - `megapixels`, and `aspect`: width by height, of the upright image.
        - `brightness`, `contrast`: mean and standard deviation of its grey values, 0 to 1.
        - `sharpness`: the standard deviation of the Laplacian, by that of the grey values: light does not change it.
        - `green_red`, `blue_yellow`: the colour cast, mean a* and b* (CIELAB, 8 bits); `saturation`: mean distance from
          grey in these.
        - `jpeg_quality`: 1 to 100, from the quantisation table; None of other formats.
        - `format`: such as JPEG.
    """
    form = formats.identify(data)
    return {
        "megapixels": round(image.width * image.height / 1e6, 4),
        "aspect": round(image.width / image.height, 4),
        **_light(image.pixels),
        **_colours(image.pixels),
        "jpeg_quality": jpeg_quality(data),
        "format": form.name if form else "",
    }


def _light(pixels: Pixels) -> Mapping[str, float]:
    grey = cv2.cvtColor(pixels, cv2.COLOR_BGR2GRAY)
    scale = SIDE / max(grey.shape)
    if scale < 1:
        size = (max(1, round(grey.shape[1] * scale)), max(1, round(grey.shape[0] * scale)))
        grey = cv2.resize(grey, size, interpolation=cv2.INTER_AREA)
    mean, deviation = _mean_and_deviation(grey)
    _, edges = _mean_and_deviation(cv2.Laplacian(grey, cv2.CV_16S))
    return {
        "brightness": round(mean / 255, 5),
        "contrast": round(deviation / 255, 5),
        # A flat picture has noise alone: one grey value more keeps it from looking sharp.
        "sharpness": round(edges / (deviation + 1), 5),
    }


def _colours(pixels: Pixels) -> Mapping[str, float]:
    """Of some of the pixels: averages need no more."""
    some = cv2.resize(pixels, (_COLOURS, _COLOURS), interpolation=cv2.INTER_NEAREST)
    casts = cv2.cvtColor(some, cv2.COLOR_BGR2LAB)[..., 1:].reshape(-1, 2).astype(np.float32) - 128
    green_red, blue_yellow = casts.mean(axis=0).tolist()
    return {
        "green_red": round(green_red, 3),
        "blue_yellow": round(blue_yellow, 3),
        "saturation": round(float(np.hypot(casts[:, 0], casts[:, 1]).mean()), 3),
    }


def _mean_and_deviation(values: cv2.typing.MatLike) -> tuple[float, float]:
    mean, deviation = cv2.meanStdDev(values)
    return float(mean[0, 0]), float(deviation[0, 0])


def jpeg_quality(data: bytes) -> int | None:
    """The quality, 1 to 100, at which libjpeg would write such a luminance table; None where there is none.

    Exact for files that libjpeg and its like wrote. Others (Photoshop, some cameras) have tables of their own: they get
    the quality whose table is as coarse.
    """
    table = _luminance_table(data)
    if table is None:
        return None
    coarse = sum(table)
    place = bisect_left(_SUMS, coarse)
    if place == len(_SUMS):
        return 1
    closer = place > 0 and coarse - _SUMS[place - 1] <= _SUMS[place] - coarse
    return 100 - (place - closer)


def _luminance_table(data: bytes) -> bytes | tuple[int, ...] | None:
    """The 64 values of a JPEG file's quantisation table 0."""
    if not data.startswith(b"\xff\xd8"):
        return None
    place = 2
    for _ in range(_MAX_SEGMENTS):
        if place + 4 > len(data):
            return None
        mark, marker, length = _segment(data, place)
        if mark != _PADDING or marker == _SCAN or length < 2:
            return None
        if marker == _DQT and (table := _table_0(data[place + 4 : place + 2 + length])) is not None:
            return table
        place += 1 if marker == _PADDING else 2 + length
    return None


def _table_0(tables: bytes) -> bytes | tuple[int, ...] | None:
    """One segment may hold several tables, of 8 or 16 bits a value."""
    place = 0
    while place < len(tables):
        wide, number = tables[place] >> 4, tables[place] & 15
        end = place + 1 + (128 if wide else 64)
        if end > len(tables):
            return None
        if number == 0:
            return struct.unpack_from(">64H", tables, place + 1) if wide else tables[place + 1 : end]
        place = end
    return None
