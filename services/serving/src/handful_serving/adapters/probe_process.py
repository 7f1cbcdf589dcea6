"""The process of `Probe`: it limits itself, opens a package, and writes what came of it as JSON to stdout."""

from __future__ import annotations

import json
import os
import sys
import threading
from contextlib import suppress
from pathlib import Path
from typing import Any

from handful_core.errors import ConfigError, PackageError
from handful_core.package import Package
from handful_core.package.archive import read_folder
from handful_core.runtime.execution import Execution, executions, session_maker
from handful_core.runtime.model import load_model
from handful_serving.adapters.memory import resident

_MAX_OUTPUT = 1 << 20
"""Bytes of a file that the process may write."""
_POOLS, _STACK = 3, 8 << 20
"""Pools of threads that the backends begin, and bytes that one thread reserves."""
_NICENESS = 5
"""The processors are there for requests first."""
_OUT_OF_MEMORY = ("failed to allocate memory", "bad_alloc", "bad allocation", "out of memory", "not enough memory")


def main() -> None:
    """Try the package that the first argument describes."""
    request: dict[str, Any] = json.loads(sys.argv[1])
    threading.Thread(target=_end_with_parent, daemon=True).start()
    limit(request["memory"], request["threads"], request["cpu_seconds"])
    sys.stdout.write(json.dumps(answer(request)))
    sys.stdout.flush()
    os._exit(0)  # Whatever the package left running ends here.


def answer(request: dict[str, Any]) -> dict[str, Any]:
    """The memory that a package took in each backend and precision, or what is wrong with it."""
    memory: dict[str, int] = {}
    try:
        package = read_folder(Path(request["folder"]))
        first, *others = executions(package.manifest, request["backends"], reduced=request["reduced"])
        memory[str(first)] = _memory_of(package, first, request["threads"], request["run_seconds"])
        for other in others:  # One that fails is simply not taken.
            with suppress(PackageError, ConfigError):
                memory[str(other)] = _memory_of(package, other, request["threads"], request["run_seconds"])
    except (PackageError, ConfigError, MemoryError) as error:
        return {"error": _described(error)}
    return {"memory": memory}


def limit(memory: int | None, threads: int, cpu_seconds: int) -> None:
    """Limit this process, where the system can: Windows limits nothing, macOS no memory.

    Args:
        memory: bytes beside those that it has.
        threads: that one inference may use: their stacks are no memory of the package's.
        cpu_seconds: processor time of all its threads.
    """
    if sys.platform == "win32":
        return
    import resource

    os.nice(_NICENESS)
    _lower(resource.RLIMIT_CORE, 0)
    _lower(resource.RLIMIT_FSIZE, _MAX_OUTPUT)
    _lower(resource.RLIMIT_CPU, cpu_seconds)
    if sys.platform == "linux":
        with suppress(OSError):  # A container may forbid it.
            # Where memory runs out all the same, the system is to end this process, not serving.
            Path("/proc/self/oom_score_adj").write_text("1000", encoding="ascii")
        has = _data_bytes()
        if memory is not None and has is not None:
            _lower(resource.RLIMIT_DATA, has + memory + _POOLS * threads * _STACK)


def _lower(kind: int, value: int) -> None:
    """Lower one of this process's limits; one that is lower already stays."""
    import resource

    _, hard = resource.getrlimit(kind)
    most = value if hard == resource.RLIM_INFINITY else min(value, hard)
    resource.setrlimit(kind, (most, most))


def _memory_of(package: Package, execution: Execution, threads: int, run_seconds: float) -> int:
    before = resident()
    model = load_model(package, threads, session_maker(execution, run_seconds), execution)
    grown = resident() - before
    del model
    return max(0, grown)


def _described(error: PackageError | ConfigError | MemoryError) -> dict[str, str]:
    """An error as JSON. Want of memory has a kind of its own: libraries say it in many ways."""
    if isinstance(error, MemoryError) or any(words in str(error).lower() for words in _OUT_OF_MEMORY):
        return {
            "kind": "memory",
            "message": "it takes more memory than serving may use for models",
            "hint": "register a smaller model, or raise HANDFUL_SERVING_MODEL_MEMORY_MB",
        }
    kind = error.kind if isinstance(error, PackageError) else "graph"
    return {"kind": kind, "message": error.message, "hint": error.hint}


def _data_bytes() -> int | None:
    """Bytes of this process that RLIMIT_DATA counts; None where the system does not tell."""
    try:
        lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    except OSError:
        return None
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("VmData:")), None)


def _end_with_parent() -> None:
    """Nobody waits for the answer once the process that asked has ended."""
    sys.stdin.buffer.read()
    os._exit(1)


if __name__ == "__main__":
    main()
