"""What processors there are, and how many this process may use: containers and `taskset` count, not the machine."""

from __future__ import annotations

import math
import os
import platform
from pathlib import Path

_CGROUP_V2 = Path("/sys/fs/cgroup/cpu.max")
_CGROUP_V1 = Path("/sys/fs/cgroup/cpu")
_CPUINFO = Path("/proc/cpuinfo")
_INSTRUCTION_SETS = {
    *("avx2", "avx512f", "avx512_vnni", "avx_vnni", "avx512_bf16", "avx512_fp16", "amx_tile", "amx_int8", "amx_bf16"),
    *("asimddp", "bf16", "i8mm", "sve"),
}


def available_cpus() -> int:
    """The lower of the affinity mask and the cgroup's quota, at least 1."""
    affinity = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    quota = _quota()
    return max(1, min(affinity, math.ceil(quota) if quota else affinity))


def processor_name() -> str:
    """What the processors are, as their maker calls them where the system tells."""
    try:
        lines = _CPUINFO.read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def instruction_sets() -> str:
    """Those that decide which precision is fast, as Linux names them; empty where the system does not tell.

    Virtual machines often call all their processors alike.
    """
    try:
        lines = _CPUINFO.read_text(encoding="utf-8").splitlines()
    except OSError:
        return ""
    flags = next((line.partition(":")[2].split() for line in lines if line.startswith(("flags", "Features"))), [])
    return " ".join(sorted(flag for flag in flags if flag in _INSTRUCTION_SETS))


def _quota() -> float | None:
    """Processors that the cgroup grants, None where it sets no limit."""
    try:
        if _CGROUP_V2.exists():
            limit, period = _CGROUP_V2.read_text().split()
        else:
            limit = (_CGROUP_V1 / "cpu.cfs_quota_us").read_text().strip()
            period = (_CGROUP_V1 / "cpu.cfs_period_us").read_text().strip()
    except OSError:
        return None
    return None if limit in {"max", "-1"} else int(limit) / int(period)
