"""Is a file an image that can be trained on, and what is in it?

A JPEG whose segments show that it is whole is decoded by OpenCV, in grey and reduced: that reads the whole stream in a
fraction of the time, without Python's lock. Where the structure is enough, it is not decoded at all. Everything else is
decoded as serving decodes it, by the same function: an image that the one takes, the other takes.
"""

from __future__ import annotations

import hashlib
import os
import stat
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np
from numpy.typing import NDArray

from handful_core.vision import formats
from handful_core.vision.decode import MAX_PIXELS, ImageError, ImageTooLargeError, UnsupportedImageError
from handful_core.vision.image_headers import JpegHeader, jpeg_header
from handful_core.vision.phash import perceptual_hashes
from handful_core.vision.pillow_images import PILLOW_ERRORS, open_image, orientation_of
from handful_trainer.dataset.inspection.facts import ImageFacts, WriteMode
from handful_trainer.dataset.inspection.phash import MIN_SIDE, apply_orientation
from handful_trainer.dataset.inspection.whole import SMALLEST_SIDE, Inspection, inspect_whole, lacks_end

if TYPE_CHECKING:
    from handful_trainer.workers import WorkerPool

_TRUNCATION_WORDS = ("truncated", "breaks off", "unexpected end", "end of file", "eof", "not enough")
_REDUCED = {
    8: cv2.IMREAD_REDUCED_GRAYSCALE_8,
    4: cv2.IMREAD_REDUCED_GRAYSCALE_4,
    2: cv2.IMREAD_REDUCED_GRAYSCALE_2,
    1: cv2.IMREAD_GRAYSCALE,
}
"""OpenCV's flag by the factor that an image is reduced by while it is decoded."""
_AS_STORED = cv2.IMREAD_IGNORE_ORIENTATION


def inspect_all(
    workers: WorkerPool, paths: Sequence[Path | None], advance: Callable[[int], object], *, decode: bool = True
) -> Iterator[ImageFacts]:
    """Inspect files in parallel; yields in order, the first while others are still inspected.

    Args:
        workers: do the work.
        paths: the images; None where there is no file.
        advance: called with the number of files that are newly done.
        decode: decode every image, not only those whose structure is odd.
    """
    files = [path and os.fspath(path) for path in paths]
    with warnings.catch_warnings():  # Threads share the filters.
        warnings.simplefilter("ignore")  # Pillow warns of odd but usable files.
        yield from workers.run(partial(inspect_images, decode=decode), files, advance)


def inspect_images(paths: Iterable[Path | str | None], decode: bool = True) -> list[ImageFacts]:
    """Read, hash and inspect files. Many in one call: numpy makes their perceptual hashes all together.

    Args:
        paths: the files; None where there is none.
        decode: decode every image to its end; else not those JPEGs whose structure shows that they are whole.
    """
    return _with_phashes([_inspect_file(path, decode) for path in paths])


def inspect_bytes(data: bytes, decode: bool = True) -> ImageFacts:
    """Inspect an image file's content."""
    return _with_phashes([_inspect(data, decode)])[0]


def _with_phashes(inspections: Sequence[Inspection]) -> list[ImageFacts]:
    phashes = iter(perceptual_hashes([grey for _, grey in inspections if grey is not None]))
    return [facts if grey is None else facts._replace(phash=next(phashes)) for facts, grey in inspections]


def _inspect_file(path: Path | str | None, decode: bool) -> Inspection:
    if path is None:
        return Inspection(ImageFacts(defect="missing", detail="there is no file"))
    try:
        if not stat.S_ISREG(os.stat(path).st_mode):  # noqa: PTH116 - a pipe would never end
            return Inspection(ImageFacts(defect="unreadable", detail="it is no file"))
        with open(path, "rb", buffering=0) as file:  # noqa: PTH123 - half the time of Path.read_bytes
            data = file.read()
    except FileNotFoundError:
        return Inspection(ImageFacts(defect="missing", detail="there is no file"))
    except OSError as error:
        return Inspection(ImageFacts(defect="unreadable", detail=error.strerror or str(error)))
    return _inspect(data, decode)


def _inspect(data: bytes, decode: bool) -> Inspection:
    form, facts = formats.identify(data), ImageFacts(size=len(data), sha256=hashlib.sha256(data).hexdigest())
    if form is not None and form.is_read:
        facts = facts._replace(format=form.name)
    try:
        return (_inspect_jpeg(facts, data, decode) if form is formats.JPEG else None) or inspect_whole(facts, data)
    except ImageError as error:
        defect, detail = _defect(error, facts.format, data)
        return Inspection(facts._replace(defect=defect, detail=" ".join(detail.split())[:160]))


def _inspect_jpeg(facts: ImageFacts, data: bytes, decode: bool) -> Inspection | None:
    """The fast path for a JPEG that is whole: without Pillow's decoder. None if it is not, or not for certain."""
    header = jpeg_header(data)
    if header is None or header.channels not in {1, 3}:
        return None
    width, height = header.width, header.height
    if width * height > MAX_PIXELS or min(width, height) < SMALLEST_SIDE:
        return None
    orientation = 1
    if header.has_app1:
        try:
            with open_image(data) as image:
                orientation = orientation_of(image)
        except PILLOW_ERRORS:
            return None
    decode |= orientation != 1  # It will be rewritten upright, so it has to be readable.
    grey = _decode_reduced(header, data) if decode else None
    if decode and grey is None:
        return None
    write_mode = WriteMode.LINK
    if grey is not None and orientation != 1:
        write_mode, grey = WriteMode.UPRIGHT, apply_orientation(grey, orientation)
        if orientation >= 5:  # These four swap width and height.
            width, height = height, width
    facts = facts._replace(width=width, height=height, orientation=orientation, write_mode=write_mode, decoded=decode)
    return Inspection(facts, grey)


def _decode_reduced(header: JpegHeader, data: bytes) -> NDArray[np.uint8] | None:
    """(height, width): the image in grey, reduced, as stored. None if its size is not the one in the header."""
    # As small as the perceptual hash allows: the inverse DCT is most of the time beside the Huffman code.
    most = min(header.width, header.height) // MIN_SIDE
    factor = 8 if most >= 8 else 4 if most >= 4 else 2 if most >= 2 else 1
    grey = cv2.imdecode(np.frombuffer(data, np.uint8), _REDUCED[factor] | _AS_STORED)
    if grey is None or grey.shape != (-(-header.height // factor), -(-header.width // factor)):
        return None
    return grey.view(np.uint8)


def _defect(error: ImageError, form: str, data: bytes) -> tuple[str, str]:
    """Why a file is of no use, in a fixed word, and in detail."""
    if isinstance(error, ImageTooLargeError):
        return "too_large", error.message
    if not isinstance(error, UnsupportedImageError):
        return _damage(form, data, error.message), error.message
    if error.kind:
        unread = formats.identify(data)
        if unread is None or unread.is_read:
            return "unsupported", f"{error.kind}: {error.hint}"
        return "unsupported", f"{error.kind}: {unread.install or f'convert it to one of {formats.readable()}'}"
    if not data:
        return "empty", "the file has no bytes"
    if formats.is_markup(data):
        return "html", "a web page or error answer, not an image"
    return "noise", "begins like no image format"


def _damage(form: str, data: bytes, problem: str) -> str:
    """Why decoding failed: the file is truncated, or complete but garbled."""
    if form in {"TIFF", "AVIF", "HEIC"}:
        return "truncated" if any(word in problem.lower() for word in _TRUNCATION_WORDS) else "garbled"
    return "truncated" if lacks_end(form, data) else "garbled"
