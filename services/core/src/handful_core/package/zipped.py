"""Packages as ZIP files."""

from __future__ import annotations

import shutil
import stat
import zipfile
import zlib
from collections.abc import Iterable
from pathlib import Path, PurePosixPath

from handful_core.package.errors import DamagedPackageError

_MAX_UNPACKED = 4 << 30
"""Bytes. A package holds a model and an image; more than this is a mistake or an attack."""
_ENCRYPTED = 0x1
_COMPRESSIONS = {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED}


def pack(root: Path, names: Iterable[str], target: Path) -> Path:
    """Write files below `root` to a ZIP file. ONNX weights hardly deflate, so all is stored."""
    with zipfile.ZipFile(target, "w", zipfile.ZIP_STORED) as archive:
        for name in names:
            archive.write(root / name, name)
    return target


def unpack(source: Path, target: Path) -> None:
    """Unpack a package's ZIP file after a look at every name in it.

    Raises:
        PackageError: not a ZIP file, or one with links, absolute names, `..`, encryption or absurd sizes.
    """
    try:
        with zipfile.ZipFile(source) as archive:
            members = [m for m in archive.infolist() if not m.is_dir()]
            _check_members(source, members)
            for member in members:
                path = target / member.filename
                path.parent.mkdir(parents=True, exist_ok=True)
                with archive.open(member) as data, path.open("wb") as file:
                    shutil.copyfileobj(data, file)
    except (zipfile.BadZipFile, EOFError, zlib.error) as error:
        raise DamagedPackageError(
            f"{source} is not a whole ZIP file ({error})", "make or download the package again"
        ) from error


def _check_members(source: Path, members: list[zipfile.ZipInfo]) -> None:
    names = {member.filename for member in members}
    folders = {str(folder) for name in names for folder in PurePosixPath(name).parents}
    for member in members:
        if _is_unsafe(member) or member.filename in folders:
            raise DamagedPackageError(
                f"{source} holds the unsafe name {member.filename!r}", "do not use a package from this source"
            )
        if member.flag_bits & _ENCRYPTED or member.compress_type not in _COMPRESSIONS:
            raise DamagedPackageError(
                f"{source} is encrypted or compressed in a rare way", "zip the package again, plainly"
            )
    # What a member claims is what is unpacked at most: zipfile stops there.
    if sum(member.file_size for member in members) > _MAX_UNPACKED:
        raise DamagedPackageError(f"{source} would unpack to more than 4 GiB", "it is not a model package")


def _is_unsafe(member: zipfile.ZipInfo) -> bool:
    path = PurePosixPath(member.filename)
    is_link = stat.S_ISLNK(member.external_attr >> 16)
    odd = not path.parts or "\\" in member.filename or ":" in member.filename
    return is_link or odd or path.is_absolute() or ".." in path.parts
