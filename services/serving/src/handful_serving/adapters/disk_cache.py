"""The packages that were fetched, on disk.

    <root>/<model>/<version>-<digest>/package/      never changed once it is there
    <root>/<model>/<version>-<digest>/origin.json   the registry's version that it was fetched for
    <root>/champions.json                           what was served last
    <root>/.incoming/…                              downloads, moved into place when they are whole

Everything becomes visible in one step, so a process that is killed leaves either the old state or the new one.
"""

from __future__ import annotations

import dataclasses
import json
import logging
import os
import shutil
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path
from urllib.parse import quote

from handful_core.errors import PackageError, ResourceError
from handful_core.files import write_atomically
from handful_core.package.archive import read_folder
from handful_core.registry.records import Version
from handful_serving.domain.model_ref import ModelVersion
from handful_serving.domain.ports import CacheEntry

_log = logging.getLogger(__name__)
_DIGEST = 16
"""Digits of the digest in a folder's name."""
_STALE_SECONDS = 3600
"""A download that did not change for so long belongs to a process that has ended."""
_PACKAGE, _ORIGIN, _CHAMPIONS, _INCOMING = "package", "origin.json", "champions.json", ".incoming"


class DiskCache:
    """Packages below a folder, which several processes may share.

    Args:
        root: the folder; it is made.
        keep: versions of a model that `prune` leaves.

    Raises:
        ResourceError: the folder cannot be written.
    """

    def __init__(self, root: Path, keep: int) -> None:
        self._root = root
        self._keep = keep
        try:
            (root / _INCOMING).mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=root):
                pass
        except OSError as error:
            raise ResourceError(
                f"the package cache {root} cannot be written ({error.strerror})",
                "correct its permissions, or set HANDFUL_SERVING_CACHE_DIR",
            ) from error
        self._sweep()

    def find(self, record: Version) -> CacheEntry | None:
        """The package of exactly this version of the registry."""
        same = (
            e
            for e in self._entries_of(ModelVersion(record.name, record.version))
            if _identity(e.record) == _identity(record)
        )
        return next(same, None)

    def newest(self, model_version: ModelVersion) -> CacheEntry | None:
        """The package that was last fetched for a version."""
        return next(iter(self._entries_of(model_version)), None)

    def entries(self) -> list[CacheEntry]:
        """All packages, for each version the newest."""
        found: dict[ModelVersion, CacheEntry] = {}
        for entry in self._read("*/*"):
            found.setdefault(entry.model_version, entry)
        return list(found.values())

    @contextmanager
    def incoming(self) -> Iterator[Path]:
        """An empty folder to download into, removed in the end."""
        with tempfile.TemporaryDirectory(dir=self._root / _INCOMING, ignore_cleanup_errors=True) as folder:
            package = Path(folder) / _PACKAGE
            package.mkdir()
            yield package

    def install(self, folder: Path, record: Version) -> CacheEntry:
        """Check the package in `folder` (one of `incoming`), then move it into place.

        Raises:
            PackageError: it is damaged, unknown or inconsistent.
        """
        digest = read_folder(folder).digest
        target = self._root / _folder_name(record.name) / f"{record.version}-{digest[:_DIGEST]}"
        target.parent.mkdir(exist_ok=True)
        (folder.parent / _ORIGIN).write_text(_origin_json(record), encoding="utf-8")
        if target.exists() and not _is_whole(target / _PACKAGE):
            self._remove(target)
        if target.exists():  # The same package, for another version of this number: only its origin is new.
            os.replace(folder.parent / _ORIGIN, target / _ORIGIN)  # noqa: PTH105  # Atomic, unlike shutil.move.
        else:
            folder.parent.chmod(0o755)  # Temporary folders are private, and others may share this cache.
            folder.parent.rename(target)
        return CacheEntry(target / _PACKAGE, record)

    def discard(self, entry: CacheEntry) -> None:
        """Remove a package."""
        self._remove(entry.folder.parent)

    def prune(self, name: str, keep: frozenset[int]) -> None:
        """Remove all but the packages of a model that were fetched last, and but these versions."""
        for entry in self._read(f"{_folder_name(name)}/*")[self._keep :]:
            if entry.record.version not in keep:
                self.discard(entry)

    def champions(self) -> dict[str, int]:
        """What `save_champions` saved last; nothing if that cannot be read."""
        try:
            saved = json.loads((self._root / _CHAMPIONS).read_text(encoding="utf-8"))
            return {str(name): int(version) for name, version in saved.items()}
        except FileNotFoundError:
            return {}
        except (OSError, ValueError, AttributeError, TypeError) as error:
            _log.warning("the saved champions cannot be read (%s)", error)
            return {}

    def save_champions(self, champions: Mapping[str, int]) -> None:
        """Save what is served, for the next start."""
        write_atomically(self._root / _CHAMPIONS, json.dumps(dict(champions), indent=2, sort_keys=True), durable=True)

    def _entries_of(self, model_version: ModelVersion) -> list[CacheEntry]:
        return self._read(f"{_folder_name(model_version.name)}/{model_version.version}-*")

    def _read(self, pattern: str) -> list[CacheEntry]:
        """The entries whose folders fit, the last fetched first."""
        origins = [(_modified_at(path), path) for path in self._root.glob(f"{pattern}/{_ORIGIN}")]
        records = [(path.parent / _PACKAGE, _read_origin(path)) for _, path in sorted(origins, reverse=True)]
        return [CacheEntry(folder, record) for folder, record in records if record is not None]

    def _remove(self, folder: Path) -> None:
        """Move it away in one step, then delete it: nobody reads a package that is half deleted."""
        trash = tempfile.TemporaryDirectory(dir=self._root / _INCOMING, ignore_cleanup_errors=True)
        with trash, suppress(FileNotFoundError):  # Another process removed it.
            folder.rename(Path(trash.name) / folder.name)

    def _sweep(self) -> None:
        """Remove what killed processes left behind."""
        for path in (*(self._root / _INCOMING).iterdir(), *self._root.glob(f".{_CHAMPIONS}.*.part")):
            if time.time() - _modified_at(path) > _STALE_SECONDS:
                shutil.rmtree(path, ignore_errors=True) if path.is_dir() else path.unlink(missing_ok=True)


def _folder_name(name: str) -> str:
    """A model's name as the name of one folder, on every system, never `.incoming` or `..`."""
    return quote(name, safe=" ").replace(".", "%2E")


def _is_whole(package: Path) -> bool:
    try:
        read_folder(package)
    except (PackageError, OSError):
        return False
    return True


def _identity(record: Version) -> tuple[object, ...]:
    """Differs from that of a version with the same name and number in a registry that was set up anew."""
    return record.created, record.run_id, record.source


def _modified_at(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except FileNotFoundError:  # Another process removed it.
        return 0.0


def _origin_json(record: Version) -> str:
    """The version as JSON. Aliases move, so they are left out."""
    fields = dataclasses.asdict(dataclasses.replace(record, aliases=()))
    fields["created"] = record.created.isoformat() if record.created else None
    return json.dumps(fields, indent=2, sort_keys=True)


def _read_origin(path: Path) -> Version | None:
    """The version that `_origin_json` wrote; None if it cannot be read: then the package is fetched again."""
    try:
        fields = json.loads(path.read_text(encoding="utf-8"))
        created = fields.pop("created")
        fields["aliases"] = ()
        return Version(**fields, created=datetime.fromisoformat(created) if created else None)
    except FileNotFoundError:  # Another process removed it.
        return None
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        _log.warning("%s cannot be read (%s)", path, error)
        return None
