"""Bringing an image into the prepared folder: linked where the disk allows it, written anew where it has to be."""

from __future__ import annotations

import errno
import io
import os
import shutil
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image, JpegImagePlugin

from handful_core.vision.decode import decode_image
from handful_core.vision.pillow_images import open_image, orientation_of
from handful_trainer.dataset.inspection.facts import WriteMode

if sys.platform == "linux":
    import fcntl

_FICLONE = 0x40049409
"""Linux' request to let one file share another's blocks (btrfs, XFS, bcachefs)."""
_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})
_TRANSPOSED = frozenset({5, 6, 7, 8})
"""EXIF orientations that swap width and height."""
_END_OF_JPEG = b"\xff\xd9"


class FileLinker:
    """Puts images into a folder, by the cheapest way that works there."""

    def __init__(self) -> None:
        self._ways: tuple[Callable[[str, str], None], ...] = (_reflink, os.link, _symlink)

    def place(self, source: str, target: str, write_mode: WriteMode) -> None:
        """Bring the image `source` to `target`, as its write_mode says.

        Raises:
            OSError: it cannot be written.
        """
        if write_mode is WriteMode.LINK:
            self._link(source, target)
            return
        data = Path(source).read_bytes()
        if write_mode is WriteMode.SEAL:
            Path(target).write_bytes(data + _END_OF_JPEG)
        else:
            Path(target).write_bytes(transpose_jpeg(data) if write_mode is WriteMode.UPRIGHT else as_png(data))

    def only_copies(self, sample: Path, folder: Path) -> bool:
        """Find out whether a file can be linked into a folder, or has to be copied."""
        probe = folder / ".probe"
        self._link(os.fspath(sample), os.fspath(probe))
        probe.unlink()
        return not self._ways

    def _link(self, source: str, target: str) -> None:
        """Share the blocks of `source`, else its inode, else name it, else copy it. What fails is not tried again."""
        source = os.path.realpath(source) if os.path.islink(source) else source  # noqa: PTH114 - a Path is slow to make
        for way in self._ways:
            try:
                way(source, target)
            except FileExistsError:
                raise
            except OSError as error:
                if error.errno in _FULL:
                    raise
                self._ways = tuple(other for other in self._ways if other is not way)
            else:
                return
        shutil.copyfile(source, target)


def transpose_jpeg(data: bytes) -> bytes:
    """The image with its EXIF orientation carried out, in its own format.

    A JPEG keeps its quantisation tables and its subsampling: coded by the same rules again, it loses next to nothing.
    What is written of another format has the very pixels that serving decodes.
    """
    upright = _as_served(data)
    with open_image(data) as image:
        form = str(image.format)
        options: dict[str, object] = {"lossless": True} if form == "WEBP" else {}
        if isinstance(image, JpegImagePlugin.JpegImageFile) and image.mode in {"L", "RGB"}:
            tables = _turned(image.quantization) if orientation_of(image) in _TRANSPOSED else image.quantization
            options = {"qtables": tables, "subsampling": JpegImagePlugin.get_sampling(image)}
            upright = upright.convert(image.mode)
    return _written(upright, form, **options)


def _turned(tables: dict[int, list[int]]) -> dict[int, list[int]]:
    """Quantisation tables for blocks whose rows have become columns."""
    return {key: [table[8 * x + y] for y in range(8) for x in range(8)] for key, table in tables.items()}


def as_png(data: bytes) -> bytes:
    """The first frame, upright, in 8-bit colour without transparency, as PNG: the very pixels that serving decodes."""
    return _written(_as_served(data), "PNG", compress_level=1)


def _as_served(data: bytes) -> Image.Image:
    return Image.fromarray(np.ascontiguousarray(decode_image(data)[..., ::-1]))


def _written(image: Image.Image, form: str, **options: object) -> bytes:
    written = io.BytesIO()
    image.save(written, form, **options)
    return written.getvalue()


def _symlink(source: str, target: str) -> None:
    Path(target).symlink_to(Path(source).absolute())


def _reflink(source: str, target: str) -> None:
    if sys.platform == "linux":
        try:
            with Path(source).open("rb") as old, Path(target).open("xb") as new:
                fcntl.ioctl(new, _FICLONE, old.fileno())
        except FileExistsError:
            raise
        except OSError:
            Path(target).unlink(missing_ok=True)
            raise
    else:
        raise OSError(errno.ENOTSUP, os.strerror(errno.ENOTSUP))


class ImageEntry(NamedTuple):
    """An image that is put somewhere. Small: it is sent to another process."""

    source: str
    """Its file."""
    name: str
    """Where it goes, relative to the prepared folder."""
    write_mode: WriteMode


def place_images(folder: str, linker: FileLinker, entries: Sequence[ImageEntry], *, again: bool = False) -> list[None]:
    """Bring images into the folder. Runs in another process.

    Args:
        folder: where to.
        linker: knows how.
        entries: the images.
        again: some may be there already, or half of one: they are replaced.

    Raises:
        OSError: one cannot be written, or is there already.
    """
    if again:
        for entry in entries:
            Path(folder, entry.name).unlink(missing_ok=True)
    for source, name, write_mode in entries:
        linker.place(source, f"{folder}/{name}", write_mode)
    return [None] * len(entries)
