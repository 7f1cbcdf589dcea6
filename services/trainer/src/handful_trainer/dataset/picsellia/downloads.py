"""Downloading the files: several at once, each complete or not at all."""

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
from handful_trainer.dataset.picsellia.retrying import IncompleteDownloadError, RetryLaterError, with_retries

_TIMEOUT = (10, 60)
"""Seconds to connect, and without a byte."""
_CHUNK = 1 << 16
_MAX_CONSECUTIVE_FAILURES = 12
"""So many files that fail one after the other, all retries spent, mean that the object store is down."""
_MIN_FREE_BYTES = 64 << 20
"""Bytes that are left free on the disk."""
_DISK_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})


class FileUnavailableError(Exception):
    """The object store has no such file, or does not hand it out; asking again would not change that."""


class PullStoppedError(Exception):
    """The pull ends for another reason."""


class DownloadedFile(NamedTuple):
    """A file that was downloaded completely."""

    content: str
    """`ListedAsset.content` at that time."""
    size: int
    """Bytes."""


class DownloadIndex:
    """What is downloaded already: an append-only file, so that a killed pull loses at most its last line."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._files = dict(_read_index(path))

    def has(self, asset: ListedAsset, file: Path) -> bool:
        """Is this asset's file here, complete and unchanged?"""
        known = self._files.get(asset.id)
        if known is None or known.content != asset.content:
            return False
        try:
            return file.stat().st_size == known.size
        except FileNotFoundError:
            return False

    def add(self, asset: ListedAsset, size: int) -> None:
        """Add a downloaded file. May be called by several threads."""
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
    """Downloads the files of a version into a folder.

    The SDK's own `download` is not used: it writes under the final name, takes whatever is there for complete, and
    swallows failures.
    """

    remote: RemoteVersion
    folder: Path
    """Where they go."""
    parts: Path
    """Incomplete files; on the same disk, so that they can be renamed into `folder`."""
    index: DownloadIndex
    missing: dict[str, str] = field(default_factory=dict)
    """Why an asset has no file, by its id."""
    bytes: int = 0
    """How many were downloaded."""
    _downloaded: int = 0
    _consecutive_failures: int = 0
    _stop: threading.Event = field(default_factory=threading.Event)

    def fetch(self, assets: Sequence[ListedAsset], workers: int, progress: Progress) -> None:
        """Fetch all of them; afterwards each is here or in `missing`.

        Raises:
            UnavailableError: the object store does not answer any more.
            DiskSpaceError: there is not enough room.
        """
        with self._part_folder(), ThreadPoolExecutor(workers, thread_name_prefix="handful-pull") as pool:
            futures = {pool.submit(self._download, asset): asset for asset in assets}
            try:
                for left, future in zip(range(len(futures), 0, -1), as_completed(futures), strict=True):
                    self._record_outcome(futures[future], future.exception())
                    self._check_space(left - 1)
                    progress.advance()
            except BaseException:
                self._stop.set()
                pool.shutdown(cancel_futures=True)
                raise

    @contextlib.contextmanager
    def _part_folder(self) -> Iterator[None]:
        for folder in (self.folder, self.parts):
            folder.mkdir(parents=True, exist_ok=True)
        try:
            yield
        finally:
            shutil.rmtree(self.parts, ignore_errors=True)

    def _download(self, asset: ListedAsset) -> None:
        """Download one file; it gets its own name only when it is complete."""
        if reason := asset.why_no_image:
            raise FileUnavailableError(reason)
        part = self.parts / asset.file_name
        size = with_retries(lambda: self._transfer(asset, part), stop=self._stop)
        part.replace(self.folder / asset.file_name)
        self.index.add(asset, size)
        self.bytes += size
        self._downloaded += 1

    def _transfer(self, asset: ListedAsset, part: Path) -> int:
        """Write the file's content to `part`; its size in bytes."""
        if self._stop.is_set():
            raise PullStoppedError
        if asset.address is None:
            asset.address = self.remote.new_presigned_url(asset.data_id)
        # Uncompressed: Content-Length can only be compared with the bytes as they are sent.
        headers = {"Accept-Encoding": "identity"}
        with self.remote.session.get(asset.address, stream=True, timeout=_TIMEOUT, headers=headers) as answer:
            self._check(asset, answer)
            size = 0
            with part.open("wb") as file:
                for chunk in answer.iter_content(_CHUNK):
                    size += file.write(chunk)
            announced = answer.headers.get("Content-Length", "")
        if announced.isdecimal() and int(announced) != size:
            raise IncompleteDownloadError(f"{size} bytes came of {announced}")
        return size

    def _check(self, asset: ListedAsset, answer: requests.Response) -> None:
        """Raise unless the status is 200."""
        status = answer.status_code
        if status == 200:
            return
        if is_transient_status(status):
            after = answer.headers.get("Retry-After", "")
            raise RetryLaterError(status, float(after) if after.isdecimal() else 0)
        if status == 403 and not asset.renewed:  # The address is good for an hour only.
            asset.renewed, asset.address = True, None
            raise RetryLaterError(status)
        raise FileUnavailableError(f"the object store answers {status}")

    def _record_outcome(self, asset: ListedAsset, error: BaseException | None) -> None:
        """Record an asset's file as downloaded or missing, or end the pull."""
        if error is None:
            self._consecutive_failures = 0
        elif isinstance(error, FileUnavailableError | NotFoundError):
            self.missing[asset.id] = str(error)
        elif isinstance(error, RetryLaterError | IncompleteDownloadError | requests.RequestException):
            # Of requests' errors the class alone: their words hold the address, which is a secret.
            self.missing[asset.id] = type(error).__name__ if isinstance(error, OSError) else str(error)
            self._consecutive_failures += 1
            if self._consecutive_failures >= _MAX_CONSECUTIVE_FAILURES:
                raise UnavailableError(
                    f"the object store stopped answering ({self.missing[asset.id]}); {self._downloaded} files came",
                    "check the network and run it again: it goes on where it stopped",
                ) from None
        elif isinstance(error, OSError) and error.errno in _DISK_FULL:
            raise self._full(f"is full after {self._downloaded} files") from None
        else:
            raise error

    def _check_space(self, left: int) -> None:
        """Stop before the disk is full, as far as sizes can be foreseen."""
        free = shutil.disk_usage(self.folder).free
        needed = left * self.bytes // max(1, self._downloaded)
        if free < needed + _MIN_FREE_BYTES:
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
