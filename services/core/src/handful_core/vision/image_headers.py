"""The headers of JPEG and TIFF files, read by hand before any library gets them.

Two questions that no library answers: would decoding this file take much more time or memory than its size in pixels
tells (a denial of service), and is this JPEG whole, without decoding it? Why by hand, and what measures it:
docs/adr/0012-image-headers-by-hand.md.
"""

from __future__ import annotations

import re
import struct
from typing import NamedTuple

_BEGIN, _END = b"\xff\xd8", b"\xff\xd9"
"""SOI and EOI: the markers at which every JPEG file starts and ends."""
_FRAMES = frozenset({0xC0, 0xC1, 0xC2})
"""SOF0 to SOF2 (baseline, extended, progressive): the kinds that every decoder knows."""
_BEFORE_PIXELS = frozenset({0xC4, 0xDB, 0xDD, *range(0xE0, 0xF0), 0xFE})
"""DHT, DQT, DRI, APPn and COM: nothing else may stand before the pixels.

After a marker that it does not know, each decoder resynchronises in its own way. What a walk by lengths skips could be
a second frame for it, of any size.
"""
_SCAN, _APP1, _PADDING = 0xDA, 0xE1, 0xFF
_END_MARKER = _END[1]
_MAX_SEGMENTS, _MAX_JUNK = 1000, 4096
"""Segments before the pixels, and bytes between them that belong to none. Real files have a few dozen, and none. With
more, parsing the header could take longer than decoding."""
_marker = re.compile(rb"\xff[\x01-\xcf\xd8-\xfe]").search
"""The next marker. Within the pixels' code, 0xFF is escaped as FF 00, restarts are FF D0 to FF D7, and FF FF is
padding: none of them ends the code."""
_segment = struct.Struct(">BBH").unpack_from
"""0xFF, the marker, the length of what follows with these two bytes."""
_frame = struct.Struct(">BHHB").unpack_from
"""Bits, height, width, channels."""

_SUBFILE, _STRIPS, _TILE_WIDTH, _TILE_HEIGHT, _TILES, _DNG = 254, 273, 322, 323, 324, 50706
"""Tags of a TIFF: what its image is of another one, where its strips lie, its tiles' sides, where they lie, and the
version of a camera's digital negative."""
_VALUE_SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4, 16: 8, 17: 8, 18: 8}
"""Bytes of a TIFF value, by its type."""
_MAX_FIELDS, _MAX_PIECES = 4096, 65_536
"""Fields of a TIFF image, and its strips or tiles: Pillow goes through them one by one in Python."""
_ORIENTATION, _EXIF = 0x0112, b"Exif\0\0"


class TiffLayout(NamedTuple):
    """What the fields of a TIFF file's first image say."""

    tile: int
    """Pixels of a tile, 0 if it has none. A decoder allocates a whole tile, however small the image is: a header of
    100 bytes could ask for gigabytes."""
    is_preview: bool
    """The first image is a small one of another: so it is in the files of cameras (DNG, NEF, ARW)."""


class JpegHeader(NamedTuple):
    """The header of a JPEG file that is whole, as far as its segments tell."""

    width: int
    height: int
    channels: int
    has_app1: bool
    """EXIF or XMP: the image may have to be turned."""


def jpeg_header(data: bytes) -> JpegHeader | None:
    """Walk over the segments of a JPEG file, from one length to the next, without decoding.

    Returns:
        None if it breaks off, does not end as it should, or is of a rarer kind: look at it more closely. A file that
        was cut off anywhere does not end with EOI. EOI cannot occur within the pixels' code, and a segment that holds
        one (a preview in EXIF) has a length of its own.
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
        if marker == _PADDING:  # Any number of 0xFF may stand before a marker.
            place += 1
            continue
        if length < 2 or place + 2 + length > last:
            return None
        if marker == _SCAN:
            return JpegHeader(width, height, channels, has_app1) if width and height else None
        if marker in _FRAMES and length >= 9 and not width:
            bits, height, width, channels = _frame(data, place + 4)
            if bits != 8:  # 12 bits are legal and rare. Decoders disagree about them.
                return None
        elif marker not in _BEFORE_PIXELS:
            return None
        has_app1 |= marker == _APP1
        place += 2 + length
    return None


def is_endless(data: bytes) -> bool:
    """Whether a JPEG file has more before its pixels than any camera or program writes.

    Pillow walks over such a header in Python, byte by byte where it is padding: megabytes of it take seconds.
    """
    place, junk = len(_BEGIN), 0  # `junk`: bytes that belong to no segment.
    for _ in range(_MAX_SEGMENTS):
        found = _marker(data, place)
        junk += (found.start() if found else len(data)) - place
        if junk > _MAX_JUNK:
            return True
        if found is None or data[found.start() + 1] in {_SCAN, _END_MARKER}:
            return False
        place = _end_of_segment(data, found)
    return True


def has_more_scans(data: bytes, most: int) -> bool:
    """Whether a JPEG file has more than `most` scans, or too many segments to tell.

    One scan is usual, some ten if it is progressive. A decoder goes over all pixels for each scan, even if the scan has
    only a few bytes. With 2,000 scans, 16 megapixels of one colour keep OpenCV busy for half a minute.
    """
    place, scans = len(_BEGIN), 0
    for _ in range(10 * _MAX_SEGMENTS):
        found = _marker(data, place)
        if found is None or data[found.start() + 1] == _END_MARKER:
            return False
        scans += data[found.start() + 1] == _SCAN
        if scans > most:
            return True
        place = _end_of_segment(data, found)
    return True


def _end_of_segment(data: bytes, found: re.Match[bytes]) -> int:
    """Where a segment ends. Markers below 0xC0, and SOI, have no length: the next marker may follow at once."""
    marker = data[found.start() + 1]
    if marker < 0xC0 or marker == _BEGIN[1]:
        return found.end()
    return found.end() + max(2, int.from_bytes(data[found.end() : found.end() + 2]))


def exif_orientation(block: bytes) -> int:
    """The orientation in a block of EXIF, 1 to 8; 1 if there is none that OpenCV would apply.

    OpenCV takes the first two bytes of the value, whatever type and count the field states, and so does this: an image
    must not be turned for one reader and not for another.
    """
    block = block.removeprefix(_EXIF)
    order = {b"II\x2a\0": "<", b"MM\0\x2a": ">"}.get(block[:4])
    if order is None:
        return 1
    try:
        (place,) = struct.unpack_from(f"{order}I", block, 4)
        (number,) = struct.unpack_from(f"{order}H", block, place)
        for entry in range(place + 2, place + 2 + 12 * number, 12):
            tag, value = struct.unpack_from(f"{order}H6xH", block, entry)
            if tag == _ORIENTATION:
                return value if 1 <= value <= 8 else 1
    except struct.error:
        pass  # A damaged block of EXIF is common and harmless: OpenCV ignores it too.
    return 1


def tiff_layout(data: bytes) -> TiffLayout:
    """Look at the fields of a TIFF file's first image.

    Raises:
        ValueError: it has no fields, too many, or their values together are longer than the file. Libraries copy the
            values of each field, and many fields may point at the same bytes: a small file could fill the memory.
    """
    order = {b"II": "<", b"MM": ">"}.get(data[:2], "")
    if not order:
        raise ValueError("it has no byte order")
    try:
        big = struct.unpack_from(f"{order}H", data, 2)[0] == 43  # BigTIFF: offsets and counts of 8 bytes.
        place = struct.unpack_from(f"{order}Q", data, 8)[0] if big else struct.unpack_from(f"{order}I", data, 4)[0]
        number = struct.unpack_from(f"{order}{'Q' if big else 'H'}", data, place)[0]
        if not 0 < number <= _MAX_FIELDS:
            raise ValueError(f"it has {number} fields")
        return _layout(data, order, big, place + (8 if big else 2), number)
    except (struct.error, OverflowError) as error:
        raise ValueError("it breaks off") from error


def _layout(data: bytes, order: str, big: bool, place: int, number: int) -> TiffLayout:
    entry = struct.Struct(f"{order}HH{'Q' if big else 'I'}")
    room, width = (8, 20) if big else (4, 12)  # Bytes for a value within a field, and bytes of a field.
    if place + number * width > len(data):
        raise ValueError("it breaks off")
    outside, values = 0, dict.fromkeys((_SUBFILE, _TILE_WIDTH, _TILE_HEIGHT, _DNG), 0)
    for index in range(number):
        start = place + index * width
        tag, kind, count = entry.unpack_from(data, start)
        size = _VALUE_SIZES.get(kind, 1) * count
        outside += size if size > room else 0
        if tag in {_STRIPS, _TILES} and count > _MAX_PIECES:
            raise ValueError(f"it is in {count} pieces, {_MAX_PIECES} are allowed")
        if tag in values:
            if size > room:
                raise ValueError("its tiles have no size")
            value = data[start + entry.size : start + entry.size + size]
            values[tag] = max(values[tag], int.from_bytes(value, "little" if order == "<" else "big"))
    if outside > len(data):
        raise ValueError("its fields are longer than the file")
    return TiffLayout(values[_TILE_WIDTH] * values[_TILE_HEIGHT], bool(values[_SUBFILE] & 1 or values[_DNG]))
