"""The prediction log on disk: segments that are being written, and closed ones that wait for MLflow.

    <root>/<model>/log/<replica>-<time>-<process>-<sequence>.jsonl.gz.open   lines of JSON, the last perhaps cut off
    <root>/<model>/log/<replica>-<time>-<process>-<sequence>.jsonl.gz        closed: it never changes any more
    <root>/.replicas/<replica>.lock                                          held by the process that writes them

A segment has its name from its beginning. The name is unique for ever, even if the clock goes back or a process gets
another's number: six digits of chance belong to each process. So closing a segment twice, or shipping it twice, gives
the same file again.
"""

from __future__ import annotations

import contextlib
import gzip
import logging
import re
import secrets
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import quote, unquote

from filelock import FileLock, Timeout

from handful_core.errors import ResourceError
from handful_core.files import open_atomically
from handful_core.profile import LogRow, parse_row
from handful_core.profile.rows import SUFFIX
from handful_serving.adapters.replicas import become

_log = logging.getLogger(__name__)
_OPEN = ".open"
_FOLDER, _REPLICAS = "log", ".replicas"
_NAME = re.compile(r"(?P<replica>.+)-(?P<at>\d{8}T\d{6}Z)-[0-9a-f]{6}-\d{4,}" + re.escape(SUFFIX))
_PLAIN = re.compile(r'[^/\\:*?"<>|%\x00-\x1f]+')
"""Names that every system takes as a folder's. Others are quoted as in a URL."""


@dataclass(frozen=True, slots=True)
class Segment:
    """A closed segment."""

    model: str
    path: Path
    replica: str
    day: str
    """UTC, such as 2026-11-29: when it was begun, by the clock of that time."""


class Spool:
    """One process's part of the folder. Threads may not use it at once.

    Args:
        root: the folder; it is made.
        limit: bytes of this process's segments. The oldest closed ones go when there are more.
        replica: how this server is called; the machine's name if not given.

    Raises:
        ResourceError: the folder cannot be written.
    """

    def __init__(self, root: Path, limit: int, replica: str | None = None) -> None:
        self._root = root
        self._limit = limit
        self._process = secrets.token_hex(3)
        self._sequence = 0
        self._open: dict[str, Path] = {}
        """By model."""
        try:
            (root / _REPLICAS).mkdir(parents=True, exist_ok=True)
            self.replica, self._lock = become(root / _REPLICAS, replica)
        except OSError as error:
            raise ResourceError(
                f"the prediction log cannot be written to {root} ({error.strerror})",
                "correct its permissions, or set HANDFUL_SERVING_PREDICTION_LOG=false",
            ) from error

    def close(self) -> None:
        """Let another process take over."""
        self._lock.release()

    def append(self, model: str, rows: Sequence[LogRow]) -> int:
        """Write rows to the open segment of a model.

        Returns:
            Rows of old segments that had to go for them.

        Raises:
            OSError: the disk is full, or the like: none of them was written.
        """
        data = "".join(row.line() for row in rows).encode()
        dropped = self._make_room(len(data))
        path = self._open.get(model) or self._begin(model)
        with path.open("ab") as file:
            size = file.tell()
            try:
                file.write(data)
                file.flush()
            except OSError:
                with contextlib.suppress(OSError):
                    file.truncate(size)
                raise
        return dropped

    def close_segments(self) -> None:
        """Close what is open.

        Raises:
            OSError: the disk is full, or the like: what was not closed stays open.
        """
        for model, path in list(self._open.items()):
            _close(path)
            del self._open[model]

    def recover(self) -> None:
        """Close what a process of this name left open when it was killed."""
        for path in self._files(self.replica, _OPEN):
            if path not in self._open.values():
                _close(path)

    def closed(self) -> list[Segment]:
        """This process's closed segments, the oldest first."""
        return self._closed(self.replica)

    @contextlib.contextmanager
    def orphans(self) -> Iterator[list[Segment]]:
        """Closed segments of servers that have ended, which nobody else touches within the block."""
        with contextlib.ExitStack() as locks:
            found: list[Segment] = []
            for lock in sorted((self._root / _REPLICAS).glob("*.lock")):
                replica = lock.stem
                if replica == self.replica or not any(self._files(replica, "*")):
                    continue
                with contextlib.suppress(Timeout):
                    locks.enter_context(FileLock(lock, timeout=0, thread_local=False))
                    for path in self._files(replica, _OPEN):
                        _close(path)
                    found += self._closed(replica)
            yield found

    @property
    def bytes(self) -> int:
        """Of this process's segments."""
        return sum(_size(path) for path in self._files(self.replica, "*"))

    def _begin(self, model: str) -> Path:
        self._sequence += 1
        at = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
        name = f"{self.replica}-{at}-{self._process}-{self._sequence:04}{SUFFIX}{_OPEN}"
        path = self._root / _folder(model) / _FOLDER / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch(exist_ok=False)
        self._open[model] = path
        return path

    def _make_room(self, needed: int) -> int:
        """Remove the oldest closed segments; how many rows were in them."""
        dropped, used = 0, self.bytes + needed
        for segment in self.closed():
            if used <= self._limit:
                break
            used -= _size(segment.path)
            dropped += _rows(segment.path)
            segment.path.unlink(missing_ok=True)
        if dropped:
            _log.warning("the prediction log is full: %d rows that MLflow has not got were removed", dropped)
        return dropped

    def _closed(self, replica: str) -> list[Segment]:
        segments = []
        for path in self._files(replica, ""):
            at = _NAME.fullmatch(path.name)
            if at is not None:
                day = f"{at['at'][:4]}-{at['at'][4:6]}-{at['at'][6:8]}"
                segments.append(Segment(unquote(path.parent.parent.name), path, replica, day))
        return sorted(segments, key=lambda segment: segment.path.name.removeprefix(replica))

    def _files(self, replica: str, suffix: str) -> list[Path]:
        """A replica's segments: open ones, closed ones, or all."""
        found = self._root.glob(f"*/{_FOLDER}/{replica}-*{SUFFIX}{suffix}")
        own = (path for path in found if (name := _NAME.fullmatch(path.name.removesuffix(_OPEN))) is not None
               and name["replica"] == replica)  # fmt: skip
        return sorted(own)


def _close(path: Path) -> None:
    """Make a closed segment of an open one. Killed at any point, it can be done again with the same result."""
    target = path.with_name(path.name.removesuffix(_OPEN))
    if not target.exists():
        lines = path.read_text(encoding="utf-8", errors="replace").split("\n")
        whole = [line for line in lines if parse_row(line) is not None]
        if whole:
            data = gzip.compress("".join(f"{line}\n" for line in whole).encode(), mtime=0)
            # A fixed name: what a killed process left there is overwritten when the segment is closed again.
            with open_atomically(target, durable=True, part=target.with_name(f".{target.name}.part")) as file:
                file.write(data)
    path.unlink(missing_ok=True)


def _rows(path: Path) -> int:
    try:
        return gzip.decompress(path.read_bytes()).count(b"\n")
    except (OSError, EOFError):
        return 0


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:  # It was shipped meanwhile.
        return 0


def _folder(model: str) -> str:
    """A folder's name for a model's."""
    if _PLAIN.fullmatch(model) and not model.startswith(".") and not model.endswith((".", " ")):
        return model
    return quote(model, safe="").replace(".", "%2E")
