import threading
import time
from collections.abc import Mapping

import pytest

from handful_trainer.tracking.system_metrics import SystemMetricsSampler


def test_readings_go_on_counting_after_a_resume() -> None:
    read: list[tuple[Mapping[str, float], int]] = []
    enough = threading.Event()

    def write(values: Mapping[str, float], step: int) -> None:
        read.append((values, step))
        enough.set()

    with SystemMetricsSampler(write, began=time.time() - 100, seconds=0.05):
        assert enough.wait(30)
    values, step = read[0]
    assert step >= 2000  # 100 seconds in steps of 0.05.
    assert {"system/cpu_utilization_percentage", "system/system_memory_usage_megabytes"} <= set(values)
    steps = [step for _, step in read]
    assert steps == sorted(steps)


def test_a_full_disk_ends_the_readings_and_nothing_else(caplog: pytest.LogCaptureFixture) -> None:
    tried = threading.Event()

    def write(values: Mapping[str, float], step: int) -> None:
        tried.set()
        raise OSError(28, "No space left on device")

    with SystemMetricsSampler(write, began=time.time(), seconds=0.01):
        assert tried.wait(30)
    assert "No space left on device" in caplog.text
