"""What the machine does while a training runs: the curves that MLflow shows under "System metrics"."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from mlflow.system_metrics.metrics.base_metrics_monitor import BaseMetricsMonitor
from mlflow.system_metrics.metrics.cpu_monitor import CPUMonitor
from mlflow.system_metrics.metrics.disk_monitor import DiskMonitor
from mlflow.system_metrics.metrics.gpu_monitor import GPUMonitor
from mlflow.system_metrics.metrics.network_monitor import NetworkMonitor

_log = logging.getLogger(__name__)
_PREFIX = "system/"
"""By this MLflow's pages know them."""
SECONDS = 10.0
"""Between two readings."""


class SystemMetricsSampler:
    """Reads processor, memory, disk, network and GPUs now and then, in a thread of its own.

    The readings are MLflow's; they go through `write`, so that a lost server loses none of them.

    Args:
        write: takes metrics and their step.
        began: when the training began, in seconds as of `time.time()`; a reading's step is how many came since then
            at most, so that a resumed training goes on counting.
        seconds: between two readings.
    """

    def __init__(
        self, write: Callable[[Mapping[str, float], int], None], began: float, seconds: float = SECONDS
    ) -> None:
        self._write = write
        self._began = began
        self._seconds = seconds
        self._stop = threading.Event()
        self._monitors = _monitors()
        self._thread = threading.Thread(target=self._read_on, name="machine-watch", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join()

    def _read_on(self) -> None:
        while not self._stop.wait(self._seconds):
            step = int((time.time() - self._began) / self._seconds)
            values = {f"{_PREFIX}{name}": value for name, value in self._read().items()}
            try:
                self._write(values, step)
            except OSError as error:  # A full disk ends the training by itself, with its own line.
                _log.warning("the machine is watched no longer: %s", error)
                return

    def _read(self) -> dict[str, float]:
        values: dict[str, float] = {}
        for monitor in self._monitors:
            monitor.collect_metrics()  # type: ignore[no-untyped-call]
            values |= monitor.aggregate_metrics()  # type: ignore[no-untyped-call]
            monitor.clear_metrics()  # type: ignore[no-untyped-call]
        return values


def _monitors() -> Sequence[BaseMetricsMonitor]:
    """MLflow's readers of what this machine has."""
    monitors: list[BaseMetricsMonitor] = [CPUMonitor(), DiskMonitor(), NetworkMonitor()]  # type: ignore[no-untyped-call]
    if Path("/dev/nvidiactl").exists():
        monitors.append(GPUMonitor())  # type: ignore[no-untyped-call]
    return monitors
