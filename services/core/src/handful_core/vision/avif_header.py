"""The boxes of an AVIF file, read by hand before Pillow gets it.

libavif believes the size that the boxes state, and decodes a frame of whatever size the AV1 code in them states: a file
of 2 kB that claims 64 x 64 pixels would take hundreds of megabytes. It also hands out colours for HDR screens as they
are. Box structure: ISO/IEC 14496-12 and 23008-12. AV1: the AV1 Bitstream Specification, 5.3 to 5.5.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

_MAX_STEPS = 20_000
"""Boxes, items, extents and units of code of a file. Real ones have some hundred."""
_MAX_DEPTH = 8
_SEQUENCE_HEADER = 1
_CONTAINERS = frozenset({b"meta", b"iprp", b"moov", b"trak", b"mdia", b"minf", b"stbl"})
"""Boxes that hold the boxes that matter here."""


class AvifHeader(NamedTuple):
    """What an AVIF file says of itself beyond its size."""

    frame: int
    """Pixels of the largest frame that its AV1 code states."""
    transfer: int
    """Transfer characteristics of its main image, as in ITU-T H.273; 2 (unspecified) if it states none."""


def avif_header(data: bytes) -> AvifHeader:
    """Walk over the boxes of an AVIF file, and the units of the AV1 code that they point at.

    Raises:
        ValueError: it breaks off, has too many of them, or they overlap.
    """
    file = _File(data)
    try:
        file.read(0, len(data))
        return AvifHeader(file.largest_frame(), file.transfer())
    except (struct.error, IndexError) as error:
        raise ValueError("it breaks off") from error


@dataclass
class _File:
    data: bytes
    steps: int = 0
    copied: int = 0
    """Bytes of items that were put together."""
    kinds: dict[int, bytes] = field(default_factory=dict)
    """Kinds of the items."""
    places: dict[int, list[tuple[int, int, int]]] = field(default_factory=dict)
    """Where the items lie: construction method, offset, length."""
    samples: list[list[int]] = field(default_factory=list)
    """Offset and length of each track's first frame."""
    properties: list[tuple[int, int]] = field(default_factory=list)
    """Begin and end of each property's box."""
    owned: dict[int, list[int]] = field(default_factory=dict)
    """Numbers of each item's properties."""
    main: int = 0
    idat: tuple[int, int] = (0, 0)

    def step(self) -> None:
        self.steps += 1
        if self.steps > _MAX_STEPS:
            raise ValueError("it has too many parts")

    def boxes(self, place: int, end: int) -> Iterator[tuple[bytes, int, int]]:
        """Kind, begin and end of the content of each box."""
        while place + 8 <= end:
            self.step()
            size, kind = struct.unpack_from(">I4s", self.data, place)
            begin = place + 8
            if size == 1:
                (size,), begin = struct.unpack_from(">Q", self.data, begin), begin + 8
            last = end if size == 0 else place + size
            if last < begin or last > end:
                raise ValueError("it breaks off")
            yield kind, begin, last
            place = last

    def read(self, begin: int, end: int, depth: int = 0) -> None:
        """Take in what the boxes there say."""
        if depth > _MAX_DEPTH:
            raise ValueError("its boxes lie too deep in each other")
        for kind, start, last in self.boxes(begin, end):
            if kind in _CONTAINERS:
                if kind == b"trak":
                    self.samples.append([0, 0])
                self.read(start + 4 if kind == b"meta" else start, last, depth + 1)
            elif kind == b"ipco":
                self.properties = [(inner, over) for _, inner, over in self.boxes(start, last)]
            elif kind == b"idat":
                self.idat = start, last
            elif kind in _READERS:
                _READERS[kind](self, start, last)

    def _pitm(self, start: int, _: int) -> None:
        (self.main,) = struct.unpack_from(">I" if self.data[start] else ">H", self.data, start + 4)

    def _iinf(self, start: int, last: int) -> None:
        for kind, begin, _ in self.boxes(start + (8 if self.data[start] else 6), last):
            if kind == b"infe" and self.data[begin] in {2, 3}:
                wide = self.data[begin] == 3
                item, _, name = struct.unpack_from(">IH4s" if wide else ">HH4s", self.data, begin + 4)
                self.kinds[item] = name

    def _iloc(self, start: int, _: int) -> None:
        version, sizes = self.data[start], struct.unpack_from(">H", self.data, start + 4)[0]
        offset_size, length_size, base_size = sizes >> 12, sizes >> 8 & 15, sizes >> 4 & 15
        index_size = sizes & 15 if version else 0
        reader = _Reader(self.data, start + 6)
        for _ in range(reader.take(4 if version == 2 else 2)):
            item = reader.take(4 if version == 2 else 2)
            method = reader.take(2) & 15 if version else 0
            reader.take(2)
            base, places = reader.take(base_size), []
            for _ in range(reader.take(2)):
                self.step()
                reader.take(index_size)
                offset = base + reader.take(offset_size)
                places.append((method, offset, reader.take(length_size)))
            self.places[item] = places

    def _ipma(self, start: int, _: int) -> None:
        version, wide = self.data[start], self.data[start + 3] & 1
        reader = _Reader(self.data, start + 4)
        for _ in range(reader.take(4)):
            self.step()
            item = reader.take(4 if version else 2)
            count = reader.take(1)
            self.owned[item] = [reader.take(2) & 0x7FFF if wide else reader.take(1) & 0x7F for _ in range(count)]

    def _stco(self, start: int, _: int) -> None:
        (self.samples[-1][0],) = struct.unpack_from(">I", self.data, start + 8)

    def _co64(self, start: int, _: int) -> None:
        (self.samples[-1][0],) = struct.unpack_from(">Q", self.data, start + 8)

    def _stsz(self, start: int, _: int) -> None:
        same, _count = struct.unpack_from(">II", self.data, start + 4)
        self.samples[-1][1] = same or struct.unpack_from(">I", self.data, start + 12)[0]

    def transfer(self) -> int:
        """The main image's transfer characteristics."""
        for number in self.owned.get(self.main, []):
            begin, end = self.properties[number - 1] if 0 < number <= len(self.properties) else (0, 0)
            if self.data[begin - 4 : begin + 4] == b"colrnclx" and begin + 10 <= end:
                return int(struct.unpack_from(">H", self.data, begin + 6)[0])
        return 2

    def largest_frame(self) -> int:
        """Pixels of the largest frame, of all items and of each track's first picture."""
        items = [item for item, kind in self.kinds.items() if kind == b"av01"]
        codes = [b"".join(self._piece(*place) for place in self.places.get(item, [])) for item in items]
        codes += [self._piece(0, offset, length) for offset, length in self.samples if length]
        return max((frame for code in codes for frame in self._frames(code)), default=0)

    def _piece(self, method: int, offset: int, length: int) -> bytes:
        begin, end = self.idat if method == 1 else (0, len(self.data))
        piece = self.data[begin + offset : min(end, begin + offset + length) if length else end]
        self.copied += len(piece)
        if self.copied > 2 * len(self.data):
            raise ValueError("its items lie over each other")
        return piece

    def _frames(self, code: bytes) -> Iterator[int]:
        """Pixels of the frames that the sequence headers in a piece of AV1 code announce."""
        place = 0
        while place < len(code):
            self.step()
            head = code[place]
            place += 2 if head & 4 else 1
            size, place = _leb128(code, place) if head & 2 else (len(code) - place, place)
            if head >> 3 & 15 == _SEQUENCE_HEADER:
                yield _announced(code[place : place + min(size, 128)])
            place += size


_READERS: dict[bytes, Callable[[_File, int, int], None]] = {
    b"pitm": _File._pitm,
    b"iinf": _File._iinf,
    b"iloc": _File._iloc,
    b"ipma": _File._ipma,
    b"stco": _File._stco,
    b"co64": _File._co64,
    b"stsz": _File._stsz,
}


def _leb128(code: bytes, place: int) -> tuple[int, int]:
    value = 0
    for index in range(8):
        value |= (code[place + index] & 0x7F) << 7 * index
        if not code[place + index] & 0x80:
            return value, place + index + 1
    raise ValueError("a length in it has no end")


def _announced(header: bytes) -> int:
    """Pixels of the largest frame that an AV1 sequence header allows for."""
    bits = _Bits(header)
    bits.take(4)  # Profile, and whether it is a still picture.
    if bits.take(1):
        bits.take(5)
    else:
        _skip_timing(bits)
    width_bits, height_bits = bits.take(4) + 1, bits.take(4) + 1
    return (bits.take(width_bits) + 1) * (bits.take(height_bits) + 1)


def _skip_timing(bits: _Bits) -> None:
    """Go over what a sequence header says of time and of operating points."""
    model = delay = 0
    if bits.take(1):  # Timing.
        bits.take(64)
        if bits.take(1):
            bits.skip_exp_golomb()
        model = bits.take(1)
        if model:
            delay = bits.take(5) + 1
            bits.take(42)
    display = bits.take(1)
    for _ in range(bits.take(5) + 1):
        bits.take(12)
        if bits.take(5) > 7:
            bits.take(1)
        if model and bits.take(1):
            bits.take(2 * delay + 1)
        if display and bits.take(1):
            bits.take(4)


class _Reader:
    """Whole numbers of so many bytes, one after the other."""

    def __init__(self, data: bytes, place: int) -> None:
        self._data, self._place = data, place

    def take(self, size: int) -> int:
        begin, self._place = self._place, self._place + size
        if self._place > len(self._data):
            raise ValueError("it breaks off")
        return int.from_bytes(self._data[begin : self._place])


class _Bits:
    """Whole numbers of so many bits, one after the other."""

    def __init__(self, data: bytes) -> None:
        self._value, self._left = int.from_bytes(data), 8 * len(data)

    def take(self, size: int) -> int:
        if size > self._left:
            raise ValueError("its code breaks off")
        self._left -= size
        return self._value >> self._left & ((1 << size) - 1)

    def skip_exp_golomb(self) -> None:
        zeros = 0
        while not self.take(1):
            zeros += 1
        self.take(zeros)
