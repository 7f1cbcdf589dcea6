"""What a JPEG file says of itself: its segments, up to where the pixels begin."""

from __future__ import annotations

from typing import NamedTuple

_END = b"\xff\xd9"
_FRAMES = frozenset({0xC0, 0xC1, 0xC2})
"""Baseline, extended and progressive: the kinds that every decoder knows."""
_ALONE = frozenset({0x01, *range(0xD0, 0xD8)})
"""Markers without content."""
_SCAN, _APP1 = 0xDA, 0xE1


class JpegHeader(NamedTuple):
    """Of a file that is whole as far as its segments tell."""

    width: int
    height: int
    channels: int
    has_app1: bool
    """EXIF or XMP: the image may have to be turned."""


def jpeg_header(data: bytes) -> JpegHeader | None:
    """Walk over the segments of a JPEG file.

    Returns:
        None if it breaks off, does not end as it should, or is of a rarer kind: look at it more closely. A file that
        was cut anywhere does not end with the end marker: within the pixels' code it cannot occur, and a segment that
        holds it (a preview in EXIF) tells its own length.
    """
    if not data.endswith(_END) or not data.startswith(b"\xff\xd8"):
        return None
    place, last, frame, has_app1 = 2, len(data) - 2, None, False
    while place + 4 <= last and data[place] == 0xFF:
        marker = data[place + 1]
        if marker == 0xFF:  # Padding.
            place += 1
            continue
        if marker in _ALONE:
            place += 2
            continue
        length = data[place + 2] << 8 | data[place + 3]
        if length < 2 or place + 2 + length > last:
            return None
        if marker in _FRAMES and length >= 9 and data[place + 4] == 8:
            height, width = data[place + 5] << 8 | data[place + 6], data[place + 7] << 8 | data[place + 8]
            frame = width, height, data[place + 9]
        elif marker == _SCAN:
            return JpegHeader(*frame, has_app1) if frame and frame[0] and frame[1] else None
        has_app1 |= marker == _APP1
        place += 2 + length
    return None
