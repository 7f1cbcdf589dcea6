"""Captured pictures on disk, while they wait for MLflow.

<root>/<replica>/<id>.jpg      after the face blur
<root>/<replica>/<id>.json     its record, written last: a picture is whole or not there
<root>/<replica>/.kept.json    how many pictures of each model were kept, by day
<root>/.replicas/<replica>.lock
"""

from __future__ import annotations

import contextlib
import json
import logging
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock, Timeout

from handful_core.errors import DataError, ResourceError
from handful_core.files import write_atomically
from handful_core.review import CapturedPicture
from handful_core.review.records import is_id, parse_picture
from handful_serving.adapters.replicas import become

_log = logging.getLogger(__name__)
_REPLICAS, _KEPT = ".replicas", ".kept.json"
_PRIVATE_FILE, _PRIVATE_FOLDER = 0o600, 0o700


@dataclass(frozen=True, slots=True)
class WaitingPicture:
    """A picture on this machine's disk."""

    record: Path

    @property
    def jpeg(self) -> Path:
        """The picture itself."""
        return self.record.with_suffix(".jpg")

    def read(self) -> tuple[CapturedPicture, bytes] | None:
        """The record and the JPEG; None if it is damaged."""
        try:
            return parse_picture(self.record.read_bytes()), self.jpeg.read_bytes()
        except (DataError, FileNotFoundError):
            return None

    def remove(self) -> None:
        """Delete both files."""
        self.jpeg.unlink(missing_ok=True)
        self.record.unlink(missing_ok=True)


class PictureSpool:
    """One process's part of the folder.

    Args:
        root: the folder; it is made, for this user's eyes alone.
        replica: how this server is called; the machine's name if not given.

    Raises:
        ResourceError: the folder cannot be written.
    """

    def __init__(self, root: Path, replica: str | None = None) -> None:
        self._root = root
        try:
            (root / _REPLICAS).mkdir(_PRIVATE_FOLDER, parents=True, exist_ok=True)
            root.chmod(_PRIVATE_FOLDER)
            self.replica, self._lock = become(root / _REPLICAS, replica)
            self._folder = root / self.replica
            self._folder.mkdir(_PRIVATE_FOLDER, exist_ok=True)
            for path in self._folder.glob("*"):  # What a killed process left half written.
                if path.suffix != ".json" and not path.with_suffix(".json").exists():
                    path.unlink(missing_ok=True)
        except OSError as error:
            raise ResourceError(
                f"captured pictures cannot be written to {root} ({error.strerror})",
                "correct its permissions, or set HANDFUL_SERVING_CAPTURE=off",
            ) from error

    def close(self) -> None:
        """Let another process take over."""
        self._lock.release()

    def add(self, picture: CapturedPicture, jpeg: bytes) -> None:
        """Write a picture.

        Raises:
            OSError: the disk is full, or the like: nothing of it is left.
        """
        path = self._folder / f"{picture.id}.json"
        try:
            write_atomically(path.with_suffix(".jpg"), jpeg, mode=_PRIVATE_FILE)
            write_atomically(path, json.dumps(picture.to_json(), ensure_ascii=False), mode=_PRIVATE_FILE)
        except OSError:
            WaitingPicture(path).remove()
            raise

    def waiting(self) -> list[WaitingPicture]:
        """This process's pictures, the oldest first."""
        return _waiting(self._folder)

    @contextlib.contextmanager
    def orphans(self) -> Iterator[list[WaitingPicture]]:
        """Pictures of servers that have ended, which nobody else touches within the block."""
        with contextlib.ExitStack() as locks:
            found: list[WaitingPicture] = []
            for lock in sorted((self._root / _REPLICAS).glob("*.lock")):
                folder = self._root / lock.stem
                if lock.stem == self.replica or not folder.is_dir() or not _waiting(folder):
                    continue
                with contextlib.suppress(Timeout):
                    locks.enter_context(FileLock(lock, timeout=0, thread_local=False))
                    found += _waiting(folder)
            yield found

    @property
    def bytes(self) -> int:
        """Of this process's pictures."""
        return sum(_size(path) for path in self._folder.glob("*"))

    def kept(self, day: str) -> dict[str, int]:
        """How many pictures of each model were kept on a day, also by processes before this one."""
        try:
            counts = json.loads((self._folder / _KEPT).read_bytes())
            return {str(model): int(count) for model, count in counts[day].items()}
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            return {}

    def count(self, day: str, kept: dict[str, int]) -> None:
        """Remember that.

        Raises:
            OSError: the disk is full, or the like.
        """
        write_atomically(self._folder / _KEPT, json.dumps({day: kept}), mode=_PRIVATE_FILE)


def _waiting(folder: Path) -> list[WaitingPicture]:
    records = [path for path in folder.glob("*.json") if is_id(path.stem)]
    return [WaitingPicture(path) for path in sorted(records, key=lambda path: (_age(path), path.name))]


def _age(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except FileNotFoundError:
        return 0.0


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0
