"""What parsing image headers by hand gains and prevents (docs/adr/0012-image-headers-by-hand.md).

    python tests/benchmarks/image_headers.py    # about half a minute

It times the header of a photo, by hand and with Pillow, in turns. Then it gives Pillow and OpenCV files that are made
to keep a decoder busy or to fill its memory, without Handful's checks and with them.
"""

from __future__ import annotations

import io
import struct
import subprocess
import sys
import time
import warnings
from collections.abc import Callable
from functools import partial

import cv2
import numpy as np
from PIL import Image

from handful_core.runtime.benchmark import measure_in_turns
from handful_core.vision.decode import ImageError, decode_image
from handful_core.vision.image_headers import jpeg_header

_CALLS = 200


def main() -> None:
    """Print all figures."""
    data = photo(640, 480)
    ways = {"by hand": jpeg_header, "Pillow": pillow_header}
    works = [partial(repeat, way, data) for way in ways.values()]
    for name, taken in zip(ways, measure_in_turns(works, warm_up=2, rounds=30), strict=True):
        print(f"header of a photo, {name}: {taken.median / _CALLS * 1e3:.0f} µs")
    for name in ATTACKS:
        for how in ("library", "checked"):
            print(f"{name:16} {how:8} {measured(name, how)}")


def repeat(way: Callable[[bytes], object], data: bytes) -> None:
    """Read one header again and again."""
    for _ in range(_CALLS):
        way(data)


def pillow_header(data: bytes) -> tuple[int, int]:
    """What else would tell the size: by the formats that are read, without warnings."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with Image.open(io.BytesIO(data), formats=("JPEG", "PNG", "WEBP", "BMP", "TIFF", "GIF")) as image:
            return image.size


def photo(width: int, height: int, *options: int) -> bytes:
    """A JPEG of blurred noise."""
    noise = np.random.default_rng(0).integers(0, 255, (height // 8, width // 8, 3), np.uint8)
    return bytes(cv2.imencode(".jpg", cv2.resize(noise, (width, height)), options)[1])


def padded_header() -> bytes:
    """Four megabytes of padding before the first segment."""
    data = photo(64, 64)
    return data[:2] + b"\xff" * (4 << 20) + data[2:]


def many_scans() -> bytes:
    """A progressive JPEG of 16 megapixels of one colour, whose last scan comes 2,000 times: a file of 160 kB."""
    blank = np.zeros((4000, 4000, 3), np.uint8)
    data = bytes(cv2.imencode(".jpg", blank, [cv2.IMWRITE_JPEG_PROGRESSIVE, 1])[1])
    last = data.rindex(b"\xff\xda")
    return data[:-2] + data[last:-2] * 2000 + data[-2:]


def shared_values() -> bytes:
    """A TIFF of 4 MB with 200 fields whose values are all of the file."""
    size = 4 << 20
    grey = {256: 64, 257: 64, 258: 8, 259: 1, 262: 1, 273: 65_536, 277: 1, 278: 64, 279: 4096}
    fields = [*((tag, 4, 1, value) for tag, value in grey.items()), *((1000 + n, 1, size, 0) for n in range(200))]
    rows = b"".join(struct.pack("<HHII", *field) for field in fields)
    return (b"II" + struct.pack("<HIH", 42, 8, len(fields)) + rows).ljust(size, b"\0")


ATTACKS = {"padded header": padded_header, "many scans": many_scans, "shared values": shared_values}


def measured(name: str, how: str) -> str:
    """Seconds and the most memory of a process that opens the file, ended after a minute."""
    try:
        done = subprocess.run(
            [sys.executable, __file__, name, how], capture_output=True, text=True, check=False, timeout=60
        )
    except subprocess.TimeoutExpired:
        return "more than 60 s"
    return done.stdout.strip() or f"ended with {done.returncode}"


def attack(name: str, how: str) -> None:
    """Open one file, in a process of its own."""
    import resource

    data = ATTACKS[name]()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    began = time.perf_counter()
    try:
        if how == "checked":
            decode_image(data)
        else:
            with Image.open(io.BytesIO(data)) as image:
                image.getexif()
            cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
        outcome = "decoded"
    except ImageError as error:
        outcome = f"refused ({error.message})"
    except (OSError, cv2.error) as error:
        outcome = type(error).__name__
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    print(f"{time.perf_counter() - began:7.3f} s  {grown:6.0f} MB more  {outcome}")


if __name__ == "__main__":
    if len(sys.argv) > 1:
        attack(*sys.argv[1:])
    else:
        main()
