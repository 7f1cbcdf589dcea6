"""The images that a model was trained or validated on, as a list of hashes in its package.

`seen.csv` has a heading and one line for each image: the sha256 of its source file, and its perceptual hash (64 bits in
hexadecimal, nothing where the image is too flat to have one). The images themselves are not in it, nor their names.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from handful_core.files import write_atomically
from handful_core.package.archive import Package
from handful_core.package.errors import DamagedPackageError
from handful_core.package.manifest import SeenList

SEEN_FILE = "seen.csv"
"""Name of the list in a package."""
NO_HASH = -1
"""Stands for the perceptual hash of an image that has none."""
_HEADING = "sha256,phash"
_LINE = re.compile(r"([0-9a-f]{64}),([0-9a-f]{16})?", re.ASCII)
_MAX_BYTES = 256 << 20
"""Three million images; more than this is a mistake or an attack."""


@dataclass(frozen=True, slots=True)
class SeenImages:
    """The images that a model was trained or validated on."""

    phashes: Mapping[str, int] = field(default_factory=dict)
    """Perceptual hash by sha256 of the source file; `NO_HASH` where there is none."""
    complete: bool = True
    """False if the model may have seen others too."""

    def __or__(self, other: SeenImages) -> SeenImages:
        """What either has seen."""
        return SeenImages({**self.phashes, **other.phashes}, self.complete and other.complete)

    def write(self, folder: Path, name: str = SEEN_FILE) -> SeenList:
        """Write the list into a folder, in the order of the hashes; what a manifest says of it."""
        lines = [f"{sha256},{phash:016x}" if phash >= 0 else f"{sha256}," for sha256, phash in self.phashes.items()]
        write_atomically(folder / name, "\n".join([_HEADING, *sorted(lines), ""]))
        return SeenList(file=name, images=len(self.phashes), complete=self.complete)


def seen_by(package: Package) -> SeenImages:
    """What the model of a package has seen: nothing is known of a package without a list.

    Raises:
        PackageError: the list is not what the manifest says.
    """
    listed = package.manifest.seen
    return SeenImages(complete=False) if listed is None else read_seen(package.root, listed)


def read_seen(folder: Path, listed: SeenList) -> SeenImages:
    """Read a list that somebody else may have written.

    Args:
        folder: where it lies.
        listed: what the manifest says of it.

    Raises:
        PackageError: it is missing, too large, not such a list, or has another number of images.
    """
    path = folder / listed.file
    heading, *lines = _text(path).splitlines() or [""]
    if heading != _HEADING:
        raise _damaged(path, f"does not begin with {_HEADING}")
    phashes = dict(_entry(path, number, line) for number, line in enumerate(lines, 2))
    if not len(phashes) == len(lines) == listed.images:
        raise _damaged(path, f"lists {len(phashes)} images on {len(lines)} lines, the manifest says {listed.images}")
    return SeenImages(phashes, listed.complete)


def parse_hashes(line: str) -> tuple[str, int] | None:
    """The sha256 and the perceptual hash on a line; None if it is no such line."""
    match = _LINE.fullmatch(line)
    return match and (match[1], int(match[2], 16) if match[2] else NO_HASH)


def _text(path: Path) -> str:
    try:
        if path.stat().st_size > _MAX_BYTES:
            raise _damaged(path, f"is larger than {_MAX_BYTES >> 20} MiB")
        return path.read_text(encoding="ascii")
    except OSError as error:
        raise _damaged(path, f"cannot be read ({error.strerror})") from error
    except UnicodeDecodeError as error:
        raise _damaged(path, "is not a list of hashes") from error


def _entry(path: Path, number: int, line: str) -> tuple[str, int]:
    found = parse_hashes(line)
    if found is None:
        raise _damaged(path, f"has no sha256 and perceptual hash on line {number}")
    return found


def _damaged(path: Path, what: str) -> DamagedPackageError:
    return DamagedPackageError(
        f"{path.name}, the list of seen images in {path.parent}, {what}", "make or download the package again"
    )
