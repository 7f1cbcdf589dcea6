"""Files that are whole or not there."""

from __future__ import annotations

import contextlib
import os
import tempfile
from pathlib import Path


def write_atomically(path: Path, content: str | bytes, *, mode: int = 0o644, durable: bool = False) -> None:
    """Write a file in one step: whoever reads it meets the old content or the new one, never a part.

    Several processes may write the same file at once; the last one wins. Text is UTF-8 with `\\n` line ends.

    Args:
        path: the file; its folder exists.
        content: all of it.
        mode: permissions of the new file, less the process's umask.
        durable: bring it to the disk before this returns, so that it also outlives a loss of power.

    Raises:
        OSError: it cannot be written; what was there is left as it was.
    """
    data = content.encode() if isinstance(content, str) else content
    descriptor, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".part", dir=path.parent)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            if durable:
                os.fsync(file.fileno())
        Path(name).chmod(mode & ~_umask())
        Path(name).replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            Path(name).unlink()
        raise
    if durable:
        _sync_folder(path.parent)


def _sync_folder(folder: Path) -> None:
    """Bring the new name to the disk, too. Windows opens no folders, and needs it not."""
    if os.name == "nt":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _umask() -> int:
    """The permissions that new files go without; it can only be read by setting it."""
    mask = os.umask(0o077)
    os.umask(mask)
    return mask
