"""A package's first run on this machine, in a process of its own: what it does to that process, it does not to serving.

The process opens the package in each backend that may serve it, lets it answer its golden image, and says how much
memory that took. It may use so much memory and time. What came of it is kept on disk by the package's digest, so that
neither a good package nor a bad one is tried twice.
"""

from __future__ import annotations

import json
import logging
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from handful_core.errors import ResourceError
from handful_core.package.archive import MANIFEST, read_folder, sha256_of
from handful_core.processes import NEW_PROCESS_GROUP
from handful_serving.adapters.backends import installed_backends, processor_and_versions
from handful_serving.adapters.probe_record import ProbeRecord, Verdict
from handful_serving.domain.model_store import Model
from handful_serving.domain.ports import OpenModel
from handful_serving.errors import ProbeError
from handful_serving.settings import InferenceBackend, InferencePrecision

_log = logging.getLogger(__name__)
_AT_ONCE = 4
"""Packages that are tried at the same time."""
_STARVED_SHARE = 0.5
"""A process that used less than this share of its time waited for a busy machine. That is not the package's fault."""
_BUSY_SECONDS = 120.0
"""After so long it is tried again. A loop without an end on a busy machine would else take all that is left of it."""
_MAX_DEATHS = 2
"""Ends of this process while it opened a package that had passed, after which the package is refused."""
_RETRY_SECONDS = 3600.0
"""After so long a package is tried again whose process the system ended: it may have been short of memory then."""
_LASTING = {"graph", "golden", "time", "memory", "crash", "busy"}
"""Kinds of failures that are noted. Others, such as a damaged file, go away when the package is fetched again."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What a package may use until it has proved itself."""

    seconds: float
    """Of wall time, for all of it."""
    run_seconds: float
    """Of wall time, for one run of the graph."""
    memory: int | None
    """Bytes beside what the process has before it opens the package; no limit if None. Linux alone keeps to it."""


class Probe:
    """Tries packages before the serving process opens them. Safe to use from several threads at once.

    Args:
        backend: what will run the graphs.
        threads: processors that one inference may use.
        limits: what a package may use.
        record: what came of earlier ones.
        precision: whether those below a package's own are tried, too.
    """

    def __init__(
        self,
        backend: InferenceBackend,
        threads: int,
        limits: Limits,
        record: ProbeRecord,
        precision: InferencePrecision = "auto",
    ) -> None:
        self._backends = installed_backends(backend)
        self._precision = precision
        self._threads = threads
        self._limits = limits
        self._record = record
        self._places = threading.BoundedSemaphore(_AT_ONCE)
        self._machine = f"{processor_and_versions(self._backends)}, {precision}"

    def check(self, folder: Path) -> Mapping[str, int]:
        """Try a package, unless it was tried on this machine before.

        Args:
            folder: a package's.

        Returns:
            Bytes of memory that it takes, by backend and precision.

        Raises:
            PackageError: it is bad, or was found bad before.
            ResourceError: this machine could not try it. That may pass.
        """
        package = read_folder(folder)
        key = f"{package.digest}, {self._machine}"
        verdict = self._known(key)
        if verdict is None:
            with self._places:
                verdict = self._known(key) or self._tried(folder, key)
        if verdict.kind == "busy":
            raise ResourceError(verdict.message, verdict.hint)
        if verdict.refused:
            raise ProbeError(verdict.message, verdict.hint, verdict.kind)
        return verdict.memory

    def passed(self, folder: Path) -> Collection[str]:
        """In which backends and precisions a package gave its golden answer here, as far as that is noted."""
        verdict = self._record.get(f"{sha256_of(folder / MANIFEST)}, {self._machine}")
        return verdict.memory if verdict else ()

    def open(self, folder: Path, open_model: OpenModel) -> Model:
        """Open a package that has passed, and remember it if that ends this process.

        Raises:
            PackageError: it cannot be opened, or this process ended twice while it was.
        """
        key = f"{sha256_of(folder / MANIFEST)}, {self._machine}"
        deaths = self._record.opening(key)
        if deaths >= _MAX_DEATHS:
            raise ProbeError(
                f"serving ended {deaths} times while it opened this package",
                "give serving more memory, or register a smaller model",
                "crash",
            )
        try:
            return open_model(folder)
        finally:
            self._record.opened(key)

    def _known(self, key: str) -> Verdict | None:
        """What is known of a package; None if it has to be tried (again): the limits may have been raised."""
        verdict = self._record.get(key)
        if verdict is None or (verdict.until is not None and verdict.until < time.time()):
            return None
        memory, allowed = self._limits.memory, verdict.memory_limit
        if not verdict.refused:
            return verdict if memory is None or max(verdict.memory.values(), default=0) <= memory else None
        more_memory = allowed is not None and (memory is None or memory > allowed)
        more_time = self._limits.seconds > verdict.seconds_limit
        return None if verdict.kind in {"time", "memory", "crash", "busy"} and (more_memory or more_time) else verdict

    def _tried(self, folder: Path, key: str) -> Verdict:
        began = time.monotonic()
        verdict = self._run(folder)
        _log.info(
            "tried %s in a process of its own in %.1f s: %s",
            folder.parent.name,
            time.monotonic() - began,
            verdict.message or "passed",
        )
        if verdict.kind not in {"", *_LASTING}:  # It was spoilt on the way, say.
            return verdict
        self._record.put(key, verdict)
        return verdict

    def _run(self, folder: Path) -> Verdict:
        request = {
            "folder": str(folder),
            "backends": self._backends,
            "reduced": self._precision == "auto",
            "threads": self._threads,
            "memory": self._limits.memory,
            "run_seconds": self._limits.run_seconds,
            "cpu_seconds": int(self._limits.seconds * self._threads) + 10,
        }
        with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
            try:
                process = subprocess.Popen(
                    [sys.executable, "-m", "handful_serving.adapters.probe_process", json.dumps(request)],
                    stdin=subprocess.PIPE,  # Its end tells the process that this one has ended.
                    stdout=out,
                    stderr=err,
                    **NEW_PROCESS_GROUP,
                )
            except OSError as error:
                raise ResourceError(f"no process can be started to try a package ({error.strerror})") from error
            late, cpu = _await(process, self._limits.seconds)
            return self._verdict(process.returncode, late, cpu, _tail(out), _tail(err))

    def _verdict(self, status: int, late: bool, cpu_seconds: float | None, out: str, err: str) -> Verdict:
        limits = self._limits
        if late and cpu_seconds is not None and cpu_seconds < _STARVED_SHARE * limits.seconds:
            words = f"the machine is too busy to try this package ({cpu_seconds:.0f} s of processor time in "
            return self._refused(
                "busy", f"{words}{limits.seconds:g} s)", "it is tried again by itself", time.time() + _BUSY_SECONDS
            )
        if late:
            words = f"it did not answer its golden image within {limits.seconds:g} s"
            return self._refused("time", words, "use a smaller model, or raise HANDFUL_SERVING_PROBE_SECONDS")
        try:
            answer: dict[str, Any] = json.loads(out)
        except ValueError:
            return self._ended(status, err)
        if (error := answer.get("error")) is not None:
            return self._refused(error["kind"], error["message"], error["hint"])
        return Verdict(memory=answer["memory"], memory_limit=limits.memory, seconds_limit=limits.seconds)

    def _ended(self, status: int, err: str) -> Verdict:
        """The process ended without an answer."""
        if status == -getattr(signal, "SIGKILL", 9):
            words = "the system ended its process, which is what it does for want of memory"
            return self._refused("memory", words, _MORE_MEMORY, until=time.time() + _RETRY_SECONDS)
        if "bad_alloc" in err or "MemoryError" in err:
            return self._refused("memory", "it takes more memory than serving may use for models", _MORE_MEMORY)
        lines = [line for line in err.splitlines() if line.strip()] or [""]
        words = f"its process ended with status {status} ({lines[-1][:200]})"
        return self._refused("crash", words, "package the model again")

    def _refused(self, kind: str, message: str, hint: str, until: float | None = None) -> Verdict:
        limits = self._limits
        return Verdict(kind, message, hint, {}, limits.memory, limits.seconds, until)


_MORE_MEMORY = "register a smaller model, or raise HANDFUL_SERVING_MODEL_MEMORY_MB"


def _await(process: subprocess.Popen[bytes], seconds: float) -> tuple[bool, float | None]:
    """Wait for the end of a process, or end it after so many seconds.

    Returns:
        Whether it was ended, and the processor time that it had used by then where that is known.
    """
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        used = _cpu_seconds(process.pid)
        process.kill()
        process.wait()
        return True, used
    finally:
        if process.stdin is not None:
            process.stdin.close()
    return False, None


def _cpu_seconds(pid: int) -> float | None:
    """Processor time of a process, of all its threads; None where the system does not tell."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace").rpartition(")")[2].split()
    except OSError:
        return None
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _tail(file: Any) -> str:
    """The last of what a process wrote."""
    file.seek(max(0, file.seek(0, os.SEEK_END) - 4000))
    text: str = file.read().decode("utf-8", "replace")
    return text
