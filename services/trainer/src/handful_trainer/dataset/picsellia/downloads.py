"""Fetching the files: several at once, each whole or not at all."""

from __future__ import annotations

import contextlib
import errno
import json
import shutil
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import requests

from handful_core.errors import NotFoundError, UnavailableError
from handful_core.files import write_atomically
from handful_core.retrying import is_transient_status
from handful_trainer.dataset.errors import DiskSpaceError
from handful_trainer.dataset.picsellia.api import RemoteVersion
from handful_trainer.dataset.picsellia.listing import ListedAsset
from handful_trainer.dataset.picsellia.progress import Progress
from handful_trainer.dataset.picsellia.retrying import BusyError, CutOffError, with_retries

_TIMEOUT = (10, 60)
"""Seconds to connect, and without a byte."""
_CHUNK = 1 << 16
_IN_A_ROW = 12
"""So many files that fail one after the other, all patience spent, mean that nothing answers any more."""
_RESERVE = 64 << 20
"""Bytes that are left free on the disk."""
_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})


class NoFileError(Exception):
    """The object store has no such file, or does not hand it out; asking again would not change that."""


class StoppedError(Exception):
    """The pull ends for another reason."""


class DownloadedFile(NamedTuple):
    """A file that came whole."""

    content: str
    """`ListedAsset.content` at that time."""
    size: int
    """Bytes."""


class DownloadIndex:
    """A file of lines that only grows, so that a pull that was killed loses no more than its last line."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._files = dict(_read_index(path))

    def has(self, asset: ListedAsset, file: Path) -> bool:
        """Is this asset's file here, whole and still the same?"""
        known = self._files.get(asset.id)
        if known is None or known.content != asset.content:
            return False
        try:
            return file.stat().st_size == known.size
        except FileNotFoundError:
            return False

    def add(self, asset: ListedAsset, size: int) -> None:
        """Note that an asset's file came. May be called by several threads."""
        file = DownloadedFile(asset.content, size)
        with self._lock, self._path.open("a", encoding="utf-8") as lines:
            self._files[asset.id] = file
            lines.write(_line(asset.id, file))

    def keep(self, ids: set[str]) -> None:
        """Forget all other assets."""
        self._files = {asset_id: file for asset_id, file in self._files.items() if asset_id in ids}
        write_atomically(self._path, "".join([_line(asset_id, file) for asset_id, file in self._files.items()]))


@dataclass(slots=True)
class Downloads:
    """The files of a version on their way into a folder.

    The SDK's own `download` is not used: it writes under the final name, takes what lies there for whole, however it
    came to lie there, and swallows failures.
    """

    remote: RemoteVersion
    folder: Path
    """Where they go."""
    parts: Path
    """Where they lie while they come; on the same disk."""
    index: DownloadIndex
    missing: dict[str, str] = field(default_factory=dict)
    """Why an asset has no file, by its id."""
    bytes: int = 0
    """How many came."""
    _came: int = 0
    _failed_in_a_row: int = 0
    _stop: threading.Event = field(default_factory=threading.Event)

    def fetch(self, assets: Sequence[ListedAsset], workers: int, progress: Progress) -> None:
        """Fetch all of them; afterwards each is here or in `missing`.

        Raises:
            UnavailableError: the object store does not answer any more.
            DiskSpaceError: there is not enough room.
        """
        with self._room_for_parts(), ThreadPoolExecutor(workers, thread_name_prefix="handful-pull") as pool:
            futures = {pool.submit(self._one, asset): asset for asset in assets}
            try:
                for left, future in zip(range(len(futures), 0, -1), as_completed(futures), strict=True):
                    self._settle(futures[future], future.exception())
                    self._check_space(left - 1)
                    progress.advance()
            except BaseException:
                self._stop.set()
                pool.shutdown(cancel_futures=True)
                raise

    @contextlib.contextmanager
    def _room_for_parts(self) -> Iterator[None]:
        for folder in (self.folder, self.parts):
            folder.mkdir(parents=True, exist_ok=True)
        try:
            yield
        finally:
            shutil.rmtree(self.parts, ignore_errors=True)

    def _one(self, asset: ListedAsset) -> None:
        """Fetch one file, under its own name only when all of it is there."""
        if reason := asset.why_no_image:
            raise NoFileError(reason)
        part = self.parts / asset.file_name
        size = with_retries(lambda: self._transfer(asset, part), stop=self._stop)
        part.replace(self.folder / asset.file_name)
        self.index.add(asset, size)
        self.bytes += size
        self._came += 1

    def _transfer(self, asset: ListedAsset, part: Path) -> int:
        """Write the file's content to `part`; its size in bytes."""
        if self._stop.is_set():
            raise StoppedError
        if asset.address is None:
            asset.address = self.remote.fresh_address(asset.data_id)
        # As they are: a length can only be compared with what was sent.
        headers = {"Accept-Encoding": "identity"}
        with self.remote.session.get(asset.address, stream=True, timeout=_TIMEOUT, headers=headers) as answer:
            self._check(asset, answer)
            size = 0
            with part.open("wb") as file:
                for chunk in answer.iter_content(_CHUNK):
                    size += file.write(chunk)
            announced = answer.headers.get("Content-Length", "")
        if announced.isdecimal() and int(announced) != size:
            raise CutOffError(f"{size} bytes came of {announced}")
        return size

    def _check(self, asset: ListedAsset, answer: requests.Response) -> None:
        """Look at the status of an answer."""
        status = answer.status_code
        if status == 200:
            return
        if is_transient_status(status):
            after = answer.headers.get("Retry-After", "")
            raise BusyError(status, float(after) if after.isdecimal() else 0)
        if status == 403 and not asset.renewed:  # The address is good for an hour only.
            asset.renewed, asset.address = True, None
            raise BusyError(status)
        raise NoFileError(f"the object store answers {status}")

    def _settle(self, asset: ListedAsset, error: BaseException | None) -> None:
        """Note what became of an asset, or end the pull."""
        if error is None:
            self._failed_in_a_row = 0
        elif isinstance(error, NoFileError | NotFoundError):
            self.missing[asset.id] = str(error)
        elif isinstance(error, BusyError | CutOffError | requests.RequestException):
            # Of requests' errors the class alone: their words hold the address, which is a secret.
            self.missing[asset.id] = type(error).__name__ if isinstance(error, OSError) else str(error)
            self._failed_in_a_row += 1
            if self._failed_in_a_row >= _IN_A_ROW:
                raise UnavailableError(
                    f"the object store stopped answering ({self.missing[asset.id]}); {self._came} files came",
                    "check the network and run it again: it goes on where it stopped",
                ) from None
        elif isinstance(error, OSError) and error.errno in _FULL:
            raise self._full(f"is full after {self._came} files") from None
        else:
            raise error

    def _check_space(self, left: int) -> None:
        """Stop before the disk is full, as far as sizes can be foreseen."""
        free = shutil.disk_usage(self.folder).free
        needed = left * self.bytes // max(1, self._came)
        if free < needed + _RESERVE:
            raise self._full(f"has {free / 1e6:.0f} MB free, {left} more files need about {needed / 1e6:.0f} MB")

    def _full(self, what: str) -> DiskSpaceError:
        return DiskSpaceError(
            f"the disk of {self.folder.parent} {what}", "make room and run it again: it goes on where it stopped"
        )


def _line(asset_id: str, entry: DownloadedFile) -> str:
    return json.dumps({"asset": asset_id, **entry._asdict()}) + "\n"


def _read_index(path: Path) -> list[tuple[str, DownloadedFile]]:
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    except FileNotFoundError:
        return []
    return [found for line in lines if (found := _parse_line(line))]


def _parse_line(line: str) -> tuple[str, DownloadedFile] | None:
    """The line's content, None where it broke off: that file is fetched again."""
    try:
        values: Any = json.loads(line)
        return str(values["asset"]), DownloadedFile(str(values["content"]), int(values["size"]))
    except (ValueError, KeyError, TypeError):
        return None
