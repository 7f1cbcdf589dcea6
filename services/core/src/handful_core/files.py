"""Files that are whole or not there."""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO


def write_atomically(path: Path, content: str | bytes, *, mode: int = 0o666, durable: bool = False) -> None:
    """Write a file in one step: whoever reads it meets the old content or the new one, never a part.

    Several processes may write the same file at once; the last one wins.

    Args:
        path: the file; its folder exists.
        content: all of it.
        mode: permissions of the new file, less the process's umask.
        durable: bring it to the disk before this returns, so that it also outlives a loss of power.

    Raises:
        OSError: it cannot be written; what was there is left as it was.
    """
    with open_atomically(path, mode=mode, durable=durable) as file:
        file.write(content.encode() if isinstance(content, str) else content)


@contextlib.contextmanager
def open_atomically(
    path: Path, *, mode: int = 0o666, durable: bool = False, part: Path | None = None
) -> Iterator[IO[bytes]]:
    """A stream whose content becomes a file in one step, if the block ends without an error.

    For what is too large for `write_atomically`; readers meet the same.

    Args:
        path: the file; its folder exists.
        mode: permissions of the new file, less the process's umask.
        durable: bring it to the disk before this returns, so that it also outlives a loss of power.
        part: where the content is until it is whole, in the same folder; by default a name of its own. A fixed one is
            for files that one process writes: what a killed one left there is overwritten by the next.

    Raises:
        OSError: it cannot be written; what was there is left as it was.
    """
    # A name of its own is nobody else's file; a fixed one may be that of a killed process.
    flags = os.O_TRUNC if part else os.O_EXCL
    part = part or path.with_name(f".{path.name}.{secrets.token_hex(6)}.part")
    descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | flags | getattr(os, "O_BINARY", 0), mode)
    try:
        with os.fdopen(descriptor, "wb") as file:
            yield file
            file.flush()
            if durable:
                os.fsync(file.fileno())
        part.replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            part.unlink()
        raise
    if durable:
        _sync_folder(path.parent)


def copy_folder(source: Path, target: Path) -> None:
    """Copy a folder in one step: where there is no room for all of it, nothing is left.

    Args:
        source: the folder.
        target: the copy, which is not there yet.

    Raises:
        OSError: it cannot be written.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    part = Path(tempfile.mkdtemp(prefix=f".{target.name}-", dir=target.parent))
    try:
        shutil.copytree(source, part, dirs_exist_ok=True)
        part.rename(target)
    except BaseException:
        shutil.rmtree(part, ignore_errors=True)
        raise


def move_folder(source: Path, target: Path) -> None:
    """Move a folder, to another disk too: where there is no room for all of it, it stays where it was.

    Args:
        source: the folder.
        target: its new place, where nothing lies.

    Raises:
        OSError: it cannot be written.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        source.rename(target)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        copy_folder(source, target)
        shutil.rmtree(source)


def _sync_folder(folder: Path) -> None:
    """Bring the new name to the disk, too. Windows opens no folders, and needs it not.

    Some folders cannot be read, and some shared file systems know no such thing. The file is whole all the same.
    """
    if os.name == "nt":
        return
    with contextlib.suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
