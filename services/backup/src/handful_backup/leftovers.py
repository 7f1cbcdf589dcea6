"""What a job needs meanwhile, and what jobs that were killed left of it."""

from __future__ import annotations

import contextlib
import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

_WORK = ".handful-work-"
_FORGOTTEN = 24 * 3600
"""Seconds after which nobody writes any more what was not written to meanwhile."""


@contextlib.contextmanager
def work_folder() -> Iterator[Path]:
    """A folder among the temporary ones that goes at the end."""
    with tempfile.TemporaryDirectory(prefix=_WORK) as folder:
        yield Path(folder)


def remove_forgotten_work() -> None:
    """Remove the folders of killed jobs: they hold rows of a server, or a whole backup, that nothing locks."""
    remove_forgotten(Path(tempfile.gettempdir()), f"{_WORK}*")


def remove_forgotten(folder: Path, pattern: str) -> None:
    """Remove the files and folders of a pattern that nobody wrote to for a day."""
    for path in folder.glob(pattern):
        with contextlib.suppress(OSError):  # Another job removed it, or it is somebody else's.
            if time.time() - max(part.stat().st_mtime for part in (path, *path.rglob("*"))) > _FORGOTTEN:
                shutil.rmtree(path) if path.is_dir() else path.unlink()
