"""How much memory this process has, and may have."""

from __future__ import annotations

import ctypes
import os
import sys
from pathlib import Path

_STATM = Path("/proc/self/statm")
_LIMITS = (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"))
_USED = (
    (Path("/sys/fs/cgroup/memory.current"), "inactive_file"),
    (Path("/sys/fs/cgroup/memory/memory.usage_in_bytes"), "total_inactive_file"),
)
"""What a container uses, of both versions of cgroups, and what in memory.stat beside it the kernel can take back."""

_ARENA_MAX = -8
"""M_ARENA_MAX of malloc.h."""


def share_heap() -> None:
    """Let all threads share one heap, where the C library is glibc. To be called before there are threads.

    By default each thread has an arena of its own, and keeps what it freed: up to 40 MB of ONNX Runtime's buffers.
    """
    if sys.platform == "linux" and (mallopt := getattr(ctypes.CDLL(None), "mallopt", None)) is not None:
        mallopt(_ARENA_MAX, 1)


def resident() -> int:
    """Bytes that this process has in memory; 0 where the system does not say."""
    try:
        pages = int(_STATM.read_text(encoding="ascii").split()[1])
    except OSError:
        return 0
    return pages * os.sysconf("SC_PAGE_SIZE")


def used() -> int:
    """Bytes that this container uses, or this process where there is no container: its page cache does not count."""
    for path, reclaimable in _USED:
        if (total := _number(path)) is not None:
            return max(0, total - _statistic(path.with_name("memory.stat"), reclaimable))
    return resident()


def _statistic(path: Path, name: str) -> int:
    """A line of memory.stat; 0 if it is not there."""
    try:
        lines = path.read_text(encoding="ascii").splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in lines if line.startswith(f"{name} ")), 0)


def available() -> int | None:
    """Bytes that this process may have: the lower of the machine's and the container's; None where none is known."""
    known = [limit for path in _LIMITS if (limit := _number(path)) is not None]
    if hasattr(os, "sysconf") and "SC_PHYS_PAGES" in os.sysconf_names:
        known.append(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))
    return min(known, default=None)


def _number(path: Path) -> int | None:
    try:
        text = path.read_text(encoding="ascii").strip()
    except OSError:
        return None
    return int(text) if text.isdigit() else None
