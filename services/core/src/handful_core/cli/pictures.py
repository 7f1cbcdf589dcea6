"""What `handful predict` is asked about: image files, folders, patterns, and the frames of videos."""

from __future__ import annotations

import glob
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from handful_core.errors import ConfigError, DataError
from handful_core.folders import is_system_name, walk_files
from handful_core.vision import formats

if TYPE_CHECKING:
    from handful_core.vision.decode import Pixels

_HEAD_BYTES = 4096
_SUFFIXES = formats.IMAGE_SUFFIXES | formats.VIDEO_SUFFIXES
_JPEG_QUALITY = 95
"""Of a frame on its way to a server."""


@dataclass(frozen=True, slots=True)
class Picture:
    """An image file, or a frame of a video.

    Attributes:
        file: as a user reads it.
        name: where it belongs below a folder of results.
        data: an image file; empty for a frame.
        pixels: of a frame.
        frame: its number from 0, in a video.
        seconds: since the video's beginning.
    """

    file: str
    name: Path
    data: bytes = b""
    pixels: Pixels | None = None
    frame: int | None = None
    seconds: float | None = None

    def encoded(self) -> bytes:
        """An image file."""
        if self.pixels is None:
            return self.data
        import cv2

        return cv2.imencode(".jpg", self.pixels, [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY])[1].tobytes()

    def decoded(self) -> Pixels:
        """Its pixels.

        Raises:
            ImageError: it is no image that can be used.
        """
        from handful_core.vision.decode import decode_image

        return decode_image(self.data) if self.pixels is None else self.pixels


@dataclass(frozen=True, slots=True)
class Found:
    """A file that a user named, or that was found.

    Attributes:
        path: the file; of what is not there, what was named.
        name: its path below the folder that was named; its name alone if it was named itself.
        problem: why there is nothing to read, if so.
    """

    path: Path
    name: Path
    problem: str = ""

    def pictures(self, every: int) -> Iterator[Picture]:
        """The image, or every so many frames.

        Raises:
            DataError: it cannot be read, or is neither.
        """
        if self.problem:
            raise DataError(self.problem, "name image files, videos, folders or patterns")
        shown = display(self.path)
        try:
            with self.path.open("rb") as file:
                head = file.read(_HEAD_BYTES)
                if formats.identify(head) is not formats.VIDEO:
                    yield Picture(shown, self.name, head + file.read())
                    return
        except OSError as error:
            raise DataError(f"{shown} cannot be read ({error.strerror})", "name an image file") from error
        yield from self._frames(shown, every)

    def _frames(self, shown: str, every: int) -> Iterator[Picture]:
        try:
            from handful_core.vision.video import frames
        except ImportError as error:
            raise ConfigError("videos are read with OpenCV", "pip install opencv-python-headless") from error
        for frame in frames(self.path, every):
            name = self.name / f"frame-{frame.number:06d}"
            yield Picture(shown, name, pixels=frame.pixels, frame=frame.number, seconds=frame.seconds)


def display(path: Path) -> str:
    """The path in letters that every output can have."""
    return os.fsencode(path).decode("utf-8", "replace")


def find(words: Iterable[Path]) -> list[Found]:
    """The files that are meant, in order; those of a folder by name, with its subfolders.

    In a folder, images and videos are known by their suffix; what operating systems and tools leave there is passed
    over. Shells of Windows leave patterns to the program, so it understands them: `*`, `?`, `[ab]`, and `**` for
    subfolders.
    """
    found: list[Found] = []
    for word in words:
        if not word.exists() and glob.has_magic(os.fspath(word)):
            named = [each for match in _matches(word) for each in _named(match, one_of_many=True)]
            found += named or [Found(word, word, f"no image and no video matches {display(word)}")]
        else:
            found += _named(word)
    return found


def _matches(pattern: Path) -> list[Path]:
    """What a pattern matches, without what operating systems and tools leave in folders."""
    fixed = next(number for number, part in enumerate(pattern.parts) if glob.has_magic(part))
    matches = sorted(glob.glob(os.fspath(pattern), recursive=True))  # noqa: PTH207 - A Path has no pattern of its own.
    return [path for path in map(Path, matches) if not any(map(is_system_name, path.parts[fixed:]))]


def _named(path: Path, *, one_of_many: bool = False) -> list[Found]:
    if not path.is_dir():
        # A pattern such as photos/* matches labels and notes, too.
        is_meant = not one_of_many or path.suffix.lower() in _SUFFIXES
        return [Found(path, Path(path.name))] if is_meant else []
    try:
        files = walk_files(path, _SUFFIXES).data
    except OSError as error:
        return [Found(path, path, f"the folder {display(path)} cannot be read ({error.strerror}: {error.filename})")]
    if not files and not one_of_many:
        return [Found(path, path, f"the folder {display(path)} has no image and no video")]
    return [Found(file, file.relative_to(path)) for file in files]
