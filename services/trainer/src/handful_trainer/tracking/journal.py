"""An append-only file of what goes to MLflow: a lost server loses nothing, and a killed training neither."""

from __future__ import annotations

import json
import logging
import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from handful_core.files import write_atomically

_log = logging.getLogger(__name__)

Entry = dict[str, Any]


class Journal:
    """Entries in the order they were written, and a mark of how many were sent.

    A power cut may leave less of the file than the mark says, half a line, or a mark without a number: what is left is
    put in order here. Some entries may then be sent twice, which does no harm. So nothing needs to be synced.

    Args:
        path: the file; `<path>.sent` beside it holds the mark.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._mark = path.with_name(path.name + ".sent")
        self._lock = threading.Lock()
        path.touch()
        content = path.read_bytes()
        os.truncate(path, content.rfind(b"\n") + 1)
        self._sent = content.rfind(b"\n", 0, self._marked()) + 1

    def append(self, entry: Entry) -> None:
        """Add an entry. It is in the operating system's hands when this returns.

        Raises:
            OSError: it cannot be written; nothing of it stays.
        """
        with self._lock:
            before = self._path.stat().st_size
            try:
                with self._path.open("a", encoding="utf-8") as file:
                    file.write(json.dumps(entry) + "\n")
            except OSError:  # Half a line, to which the next one would be glued.
                os.truncate(self._path, before)
                raise

    def unsent(self, limit: int) -> Iterator[tuple[Entry, int]]:
        """The first entries that were not sent, each with the mark to set once it was; empty where one is damaged."""
        with self._path.open("rb") as file:
            file.seek(self.sent)
            for _ in range(limit):
                line = file.readline()
                if not line.endswith(b"\n"):
                    return
                yield self._read(line), file.tell()

    @property
    def sent(self) -> int:
        """The mark: bytes of the file that were sent."""
        return self._sent

    def mark(self, position: int) -> None:
        """Remember that all before `position` was sent; where the disk is full, as long as this process lives."""
        self._sent = position
        try:
            write_atomically(self._mark, str(position))
        except OSError as error:  # Sent again after a restart, then: all entries may be sent twice.
            _log.warning("%s cannot be written: %s", self._mark, error.strerror)

    @property
    def empty(self) -> bool:
        """All was sent."""
        return self.sent >= self._path.stat().st_size

    def _read(self, line: bytes) -> Entry:
        try:
            entry: Entry = json.loads(line)
        except ValueError as error:
            _log.warning("a damaged line of %s is passed over: %s", self._path, error)
            return {}
        return entry

    def _marked(self) -> int:
        """The mark that an earlier process left; 0 if there is none."""
        try:
            return int(self._mark.read_text())
        except (FileNotFoundError, ValueError):
            return 0
