"""Image files as they come from a hostile world: whole ones of every odd kind, and what accidents leave of them."""

from __future__ import annotations

import io
import random
import struct
import zlib
from collections.abc import Callable, Iterator

import numpy as np
from PIL import Image


def odd_images() -> dict[str, bytes]:
    """Whole files, most of which can be decoded."""
    noise = np.random.default_rng(0).integers(0, 256, (60, 80, 4), np.uint8)
    colour = Image.fromarray(noise[:, :, :3])
    clear = Image.fromarray(noise)
    frames = [colour.rotate(angle) for angle in (0, 90, 180)]
    turned = Image.Exif()
    turned[0x0112] = 6
    kinds: dict[str, tuple[Image.Image, str, dict[str, object]]] = {
        "jpeg": (colour, "JPEG", {}),
        "progressive": (colour, "JPEG", {"progressive": True}),
        "cmyk": (colour.convert("CMYK"), "JPEG", {}),
        "grey": (colour.convert("L"), "JPEG", {}),
        "turned": (colour, "JPEG", {"exif": turned}),
        "png": (colour, "PNG", {}),
        "alpha": (clear, "PNG", {}),
        "grey alpha": (clear.convert("LA"), "PNG", {}),
        "palette": (colour.convert("P"), "PNG", {"transparency": 0}),
        "one bit": (colour.convert("1"), "PNG", {}),
        "sixteen bit": (Image.fromarray(noise[:, :, 0].astype(np.uint16) * 257), "PNG", {}),
        "animated gif": (frames[0], "GIF", {"save_all": True, "append_images": frames[1:]}),
        "animated webp": (frames[0], "WEBP", {"save_all": True, "append_images": frames[1:]}),
        "lossless webp": (clear, "WEBP", {"lossless": True}),
        "bmp": (colour, "BMP", {}),
        "tiff": (colour, "TIFF", {}),
        "packed tiff": (colour, "TIFF", {"compression": "tiff_lzw"}),
        "cmyk tiff": (colour.convert("CMYK"), "TIFF", {}),
        "float tiff": (Image.fromarray(noise[:, :, 0].astype(np.float32)), "TIFF", {}),
        "one pixel": (colour.resize((1, 1)), "PNG", {}),
        "a line": (colour.resize((3000, 1)), "JPEG", {}),
        "a column": (colour.resize((1, 3000)), "PNG", {}),
    }
    found = {name: _file(*kind) for name, kind in kinds.items()}
    return found | {"bomb": png_bomb(20_000), "small bomb": png_bomb(7_000), "nothing": b"", "text": b"<html></html>"}


def png_bomb(side: int) -> bytes:
    """A small file that says, truly, that it holds side * side pixels."""
    rows = zlib.compressobj(9)
    row = bytes(1 + side // 8 + 1)
    data = b"".join(rows.compress(row) for _ in range(side)) + rows.flush()
    header = struct.pack(">IIBBBBB", side, side, 1, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + _chunk(b"IHDR", header) + _chunk(b"IDAT", data) + _chunk(b"IEND", b"")


def malformed(number: int, seed: int = 0) -> Iterator[bytes]:
    """So many files: the odd ones, then accidents that befell them."""
    random_source = random.Random(seed)  # noqa: S311  # No secret.
    whole = list(odd_images().values())
    yield from whole[:number]
    for _ in range(number - len(whole)):
        data = bytearray(random_source.choice(whole))
        for _ in range(random_source.randint(1, 3)):
            random_source.choice(_ACCIDENTS)(data, random_source)
        yield bytes(data)


def _cut(data: bytearray, source: random.Random) -> None:
    del data[source.randint(0, len(data)) :]


def _flip(data: bytearray, source: random.Random) -> None:
    for _ in range(source.randint(1, 20)):
        if data:
            data[source.randrange(len(data))] = source.randrange(256)


def _flip_the_head(data: bytearray, source: random.Random) -> None:
    for _ in range(source.randint(1, 8)):
        if data:
            data[source.randrange(min(len(data), 64))] = source.choice((0, 1, 127, 128, 255))


def _lose(data: bytearray, source: random.Random) -> None:
    start = source.randint(0, len(data))
    del data[start : start + source.randint(1, 200)]


def _insert(data: bytearray, source: random.Random) -> None:
    start = source.randint(0, len(data))
    data[start:start] = source.randbytes(source.randint(1, 200))


def _blank(data: bytearray, source: random.Random) -> None:
    start = source.randint(0, len(data))
    end = min(len(data), start + source.randint(1, 400))
    data[start:end] = bytes(end - start)


def _append(data: bytearray, source: random.Random) -> None:
    data += source.randbytes(source.randint(1, 2000))


_ACCIDENTS: tuple[Callable[[bytearray, random.Random], None], ...] = (
    _cut, _flip, _flip_the_head, _lose, _insert, _blank, _append,
)  # fmt: skip


def _file(image: Image.Image, form: str, options: dict[str, object]) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, form, **options)
    return buffer.getvalue()


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
