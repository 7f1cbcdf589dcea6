"""What a JPEG file says of itself: its segments, up to where the pixels begin."""

from __future__ import annotations

import re
import struct
from typing import NamedTuple

_BEGIN, _END = b"\xff\xd8", b"\xff\xd9"
_FRAMES = frozenset({0xC0, 0xC1, 0xC2})
"""Baseline, extended and progressive: the kinds that every decoder knows."""
_OTHERS = frozenset({0xC4, 0xDB, 0xDD, *range(0xE0, 0xF0), 0xFE})
"""Tables, the restart interval, what applications add, comments: nothing else may stand before the pixels.

Decoders read on behind a marker that they do not know, each in its own way: what a walk by lengths steps over could be
another frame, of any size, for them.
"""
_SCAN, _APP1, _PADDING = 0xDA, 0xE1, 0xFF
_END_MARKER = _END[1]
_STEPS, _JUNK = 1000, 4096
"""Segments before the pixels, and bytes between them that belong to none: more, and looking at the header would take
longer than decoding."""
_marker = re.compile(rb"\xff[\x01-\xcf\xd8-\xfe]").search
"""The next marker: no escaped 0xFF of the pixels' code, no restart within it, no padding."""
_segment = struct.Struct(">BBH").unpack_from
"""0xFF, the marker, the length of what follows with these two bytes."""
_frame = struct.Struct(">BHHB").unpack_from
"""Bits, height, width, channels."""


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
    if not data.endswith(_END) or not data.startswith(_BEGIN) or is_endless(data):
        return None
    place, last = len(_BEGIN), len(data) - len(_END)
    width = height = channels = 0
    has_app1 = False
    while place + 4 <= last:
        mark, marker, length = _segment(data, place)
        if mark != 0xFF:
            return None
        if marker == _PADDING:
            place += 1
            continue
        if length < 2 or place + 2 + length > last:
            return None
        if marker == _SCAN:
            return JpegHeader(width, height, channels, has_app1) if width and height else None
        if marker in _FRAMES and length >= 9 and not width:
            bits, height, width, channels = _frame(data, place + 4)
            if bits != 8:
                return None
        elif marker not in _OTHERS:
            return None
        has_app1 |= marker == _APP1
        place += 2 + length
    return None


def is_endless(data: bytes) -> bool:
    """Whether a JPEG file has more before its pixels than any camera or program writes."""
    place, junk = len(_BEGIN), 0
    for _ in range(_STEPS):
        found = _marker(data, place)
        junk += (found.start() if found else len(data)) - place
        if junk > _JUNK:
            return True
        if found is None or data[found.start() + 1] in {_SCAN, _END_MARKER}:
            return False
        place = _behind(data, found)
    return True


def has_more_scans(data: bytes, most: int) -> bool:
    """Whether a JPEG file goes over its pixels more often than that, or is so full of segments that it cannot be told.

    Once is usual, some ten times if it is progressive. Each time takes as long as a decoder needs for all pixels,
    however little there is to read.
    """
    place, scans = len(_BEGIN), 0
    for _ in range(10 * _STEPS):
        found = _marker(data, place)
        if found is None or data[found.start() + 1] == _END_MARKER:
            return False
        scans += data[found.start() + 1] == _SCAN
        if scans > most:
            return True
        place = _behind(data, found)
    return True


def _behind(data: bytes, found: re.Match[bytes]) -> int:
    """Where a segment ends. Markers below 0xC0, and 0xD8, have no length: decoders look for the next right behind."""
    marker = data[found.start() + 1]
    if marker < 0xC0 or marker == _BEGIN[1]:
        return found.end()
    return found.end() + max(2, int.from_bytes(data[found.end() : found.end() + 2]))
