"""Temporary folders of jobs, and removing those that killed jobs left."""

from __future__ import annotations

import contextlib
import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

_PREFIX = ".handful-work-"
_STALE_AFTER = 24 * 3600
"""Seconds. Of what nobody wrote to for so long, the job was killed."""


@contextlib.contextmanager
def work_folder() -> Iterator[Path]:
    """A temporary folder, which goes at the end."""
    with tempfile.TemporaryDirectory(prefix=_PREFIX) as folder:
        yield Path(folder)


def remove_stale_work_folders() -> None:
    """Remove the folders of killed jobs: they hold rows of a server, or a whole backup, that nothing locks."""
    remove_stale(Path(tempfile.gettempdir()), f"{_PREFIX}*")


def remove_stale(folder: Path, pattern: str) -> None:
    """Remove the files and folders of a pattern that nobody wrote to for a day."""
    for path in folder.glob(pattern):
        with contextlib.suppress(OSError):  # Another job removed it, or it is somebody else's.
            # A job writes to files in its folder, which does not touch the folder's own time.
            if time.time() - max(part.stat().st_mtime for part in (path, *path.rglob("*"))) > _STALE_AFTER:
                shutil.rmtree(path) if path.is_dir() else path.unlink()
