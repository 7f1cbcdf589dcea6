"""Reading, checking and writing model packages: folders and ZIP files."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import stat
import tempfile
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from pydantic import ValidationError

from handful_core.errors import ResourceError
from handful_core.files import open_atomically, write_atomically
from handful_core.package.errors import (
    DamagedPackageError,
    ManifestError,
    MissingPackageError,
    SchemaVersionError,
)
from handful_core.package.manifest import SCHEMA_VERSION, FileEntry, Manifest

MANIFEST = "manifest.json"
MAX_PACKAGE_BYTES = 4 << 30
"""A package holds a model and an image; more than this is a mistake or an attack."""
MAX_PACKAGE_FILES = 1000
_MAX_MANIFEST_BYTES = 16 << 20
_ENCRYPTED = 0x1
_COMPRESSIONS = {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED}


@dataclass(frozen=True, slots=True)
class Package:
    """A package whose files were checked against its manifest."""

    root: Path
    manifest: Manifest

    @property
    def model_path(self) -> Path:
        """The ONNX file."""
        return self.root / self.manifest.model

    @property
    def digest(self) -> str:
        """sha256 of the manifest, which holds the hashes of all else: the package's identity."""
        return sha256_of(self.root / MANIFEST)


def sha256_of(path: Path) -> str:
    """The file's sha256, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def describe_files(root: Path) -> dict[str, FileEntry]:
    """Every file below `root` but the manifest, for the manifest's `files`."""
    names = sorted(p.relative_to(root).as_posix() for p in root.rglob("*") if p.is_file())
    return {
        name: FileEntry(sha256=sha256_of(root / name), size=(root / name).stat().st_size)
        for name in names
        if name != MANIFEST
    }


def write_package(root: Path, manifest: Manifest) -> Package:
    """Write the manifest into the folder that holds the package's other files."""
    write_atomically(root / MANIFEST, manifest.model_dump_json(indent=2) + "\n")
    return read_folder(root)


def read_folder(root: Path) -> Package:
    """Read and check a package's folder.

    Raises:
        PackageError: no manifest, a manifest of another major version or that breaks its schema, a file that is
            missing, differs from its hash, or that the manifest does not list.
    """
    return _read(root, root)


def _read(root: Path, source: Path) -> Package:
    """Read a folder. Errors name `source`, the folder or ZIP file that the user named."""
    manifest = _read_manifest(root / MANIFEST, source)
    if unlisted := sorted(_names_below(root) - manifest.files.keys() - {MANIFEST}):
        raise DamagedPackageError(
            f"the model package {source} holds {unlisted[0]!r}, which its manifest does not list",
            "remove the file if you know it; else do not use a package from this source",
        )
    for name, entry in manifest.files.items():
        path = root / name
        if not path.is_file():
            raise DamagedPackageError(
                f"{name} is missing from the model package {source}", "make or download the package again"
            )
        if path.stat().st_size != entry.size or sha256_of(path) != entry.sha256:
            raise DamagedPackageError(
                f"{name} of the model package {source} differs from the hash in its manifest",
                "it was damaged or changed; make or download the package again",
            )
    return Package(root=root, manifest=manifest)


@contextmanager
def open_package(path: Path) -> Iterator[Package]:
    """Open a package, be it a folder or a ZIP file (unpacked to a temporary folder meanwhile)."""
    if path.is_dir():
        yield read_folder(path)
        return
    if not path.is_file():
        raise MissingPackageError(f"{path} does not exist", "name a package's folder or ZIP file")
    with tempfile.TemporaryDirectory(prefix="handful-package-") as folder:
        _unpack(path, Path(folder))
        yield _read(Path(folder), path)


def zip_package(package: Package, target: Path) -> Path:
    """Write the package as a ZIP file."""
    return _pack(package.root, [MANIFEST, *package.manifest.files], target)


def _names_below(root: Path) -> set[str]:
    """All that lies below a folder but folders, by relative names. A link is a name, wherever it leads."""
    found: set[str] = set()
    for folder, folders, files in os.walk(root):
        links = [name for name in folders if Path(folder, name).is_symlink()]
        found.update(Path(folder, name).relative_to(root).as_posix() for name in (*files, *links))
    return found


def _read_manifest(path: Path, source: Path) -> Manifest:
    named = f"{MANIFEST} of the model package {source}"
    try:
        if path.stat().st_size > _MAX_MANIFEST_BYTES:
            raise ManifestError(f"{named} is larger than {_MAX_MANIFEST_BYTES >> 20} MiB", "it is no manifest")
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise MissingPackageError(
            f"{source} has no {MANIFEST} at its top level", "name the folder or ZIP file that holds it"
        ) from error
    except (ValueError, RecursionError) as error:
        raise ManifestError(f"{named} is not JSON ({error})", "make or download the package again") from error
    _check_version(named, content)
    try:
        return Manifest.model_validate(content)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        reason = first["msg"].removeprefix("Value error, ")
        fault = f"{where}: {reason}" if where else reason
        raise ManifestError(f"{named} is not valid: {fault}", "make or download the package again") from error


def _check_version(named: str, content: object) -> None:
    version = content.get("schema_version") if isinstance(content, dict) else None
    if not isinstance(version, str) or version.split(".")[0] != SCHEMA_VERSION.split(".")[0]:
        raise SchemaVersionError(
            f"{named} has schema version {version!r}, this Handful reads {SCHEMA_VERSION.split('.')[0]}.x",
            "upgrade Handful, or package the model again with this version",
        )


def _pack(root: Path, names: Iterable[str], target: Path) -> Path:
    """Write files below `root` to a ZIP file. ONNX weights hardly deflate, so all is stored."""
    with open_atomically(target) as file, zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
        for name in names:
            archive.write(root / name, name)
    return target


def _unpack(source: Path, target: Path) -> None:
    """Unpack a package's ZIP file after a look at every name in it.

    Raises:
        PackageError: not a ZIP file, or one with links, absolute names, `..`, encryption or absurd sizes.
        ResourceError: there is no room for it.
    """
    try:
        with zipfile.ZipFile(source) as archive:
            members = [m for m in archive.infolist() if not m.is_dir()]
            _check_members(source, members)
            _check_room(source, sum(member.file_size for member in members), target)
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
    if len(members) > MAX_PACKAGE_FILES or len(names) < len(members):
        raise DamagedPackageError(
            f"{source} holds more than {MAX_PACKAGE_FILES} files, or one name twice", "it is not a model package"
        )
    # What a member claims is what is unpacked at most: zipfile stops there.
    if sum(member.file_size for member in members) > MAX_PACKAGE_BYTES:
        raise DamagedPackageError(f"{source} would unpack to more than 4 GiB", "it is not a model package")


def _check_room(source: Path, size: int, target: Path) -> None:
    """Say that a disk is too full before it is."""
    free = shutil.disk_usage(target).free
    if size > free:
        raise ResourceError(
            f"unpacking {source} takes {size / 1e6:.0f} MB, and {target.parent} has {free / 1e6:.0f} MB free",
            "make room there, or set TMPDIR to a folder with more",
        )


def _is_unsafe(member: zipfile.ZipInfo) -> bool:
    path = PurePosixPath(member.filename)
    is_link = stat.S_ISLNK(member.external_attr >> 16)
    odd = not path.parts or "\\" in member.filename or ":" in member.filename
    return is_link or odd or path.is_absolute() or ".." in path.parts
