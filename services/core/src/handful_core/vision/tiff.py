"""What a TIFF file may say of itself, looked at before any library believes it."""

from __future__ import annotations

import struct

_TILE_WIDTH, _TILE_HEIGHT = 322, 323
_SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4, 16: 8, 17: 8, 18: 8}
"""Bytes of a value, by its type."""
_MOST = 4096
"""Fields of an image."""


def largest_tile(data: bytes) -> int:
    """Pixels of a tile of the first image, 0 if it has none.

    A decoder makes room for a whole tile, however small the image is.

    Raises:
        ValueError: it has no fields, too many, or their values together are longer than the file. Libraries copy the
            values of each, so that a few bytes could fill the memory.
    """
    order = {b"II": "<", b"MM": ">"}.get(data[:2], "")
    if not order:
        raise ValueError("it has no byte order")
    try:
        big = struct.unpack_from(f"{order}H", data, 2)[0] == 43
        place = struct.unpack_from(f"{order}Q", data, 8)[0] if big else struct.unpack_from(f"{order}I", data, 4)[0]
        number = struct.unpack_from(f"{order}{'Q' if big else 'H'}", data, place)[0]
        if not 0 < number <= _MOST:
            raise ValueError(f"it has {number} fields")
        return _tile(data, order, big, place + (8 if big else 2), number)
    except (struct.error, OverflowError) as error:
        raise ValueError("it breaks off") from error


def _tile(data: bytes, order: str, big: bool, place: int, number: int) -> int:
    entry = struct.Struct(f"{order}HH{'Q' if big else 'I'}")
    room, width = (8, 20) if big else (4, 12)
    if place + number * width > len(data):
        raise ValueError("it breaks off")
    outside, tile = 0, {_TILE_WIDTH: 0, _TILE_HEIGHT: 0}
    for index in range(number):
        start = place + index * width
        tag, kind, count = entry.unpack_from(data, start)
        size = _SIZES.get(kind, 1) * count
        outside += size if size > room else 0
        if tag in tile:
            if size > room:
                raise ValueError("its tiles have no size")
            value = data[start + entry.size : start + entry.size + size]
            tile[tag] = max(tile[tag], int.from_bytes(value, "little" if order == "<" else "big"))
    if outside > len(data):
        raise ValueError("its fields are longer than the file")
    return tile[_TILE_WIDTH] * tile[_TILE_HEIGHT]
