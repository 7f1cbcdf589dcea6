"""Which of its two sessions in ONNX Runtime answers: the one with all threads, or the one with a single one."""

from __future__ import annotations

import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fakes.packages import build_package
from handful_core.package.errors import GraphError
from handful_core.runtime import onnx
from handful_core.runtime.onnx import OnnxSession
from handful_core.runtime.thread_policy import AdaptivePolicy, Clock, FixedPolicy, InFlightRuns

IMAGE = np.zeros((1, 3, 64, 64), np.float32)


def adaptive(threads: int) -> AdaptivePolicy:
    """One that knows no run of another test, and to which each run seems to get all processors."""
    return AdaptivePolicy(threads, InFlightRuns(), lambda: Clock(0.0, 0.0))


class Watched:
    """ONNX Runtime's sessions, which tell how many threads the one has that runs, and wait to be let go."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.ran: list[int] = []
        self.entered = threading.Semaphore(0)
        self.go_on = threading.Event()
        self.go_on.set()
        real = onnx.open_session

        def watched(path: Path, threads: int, **how: Any) -> Any:
            return _One(real(path, threads, **how), threads, self)

        monkeypatch.setattr(onnx, "open_session", watched)


class _One:
    def __init__(self, session: Any, threads: int, watched: Watched) -> None:
        self._session, self._threads, self._watched = session, threads, watched
        self.get_inputs, self.get_outputs = session.get_inputs, session.get_outputs

    def run(self, *asked: Any) -> Any:
        self._watched.ran.append(self._threads)
        self._watched.entered.release()
        assert self._watched.go_on.wait(30)
        return self._session.run(*asked)


def test_one_run_has_all_processors_and_as_many_as_there_are_have_one_each(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    watched = Watched(monkeypatch)
    session = OnnxSession(build_package(tmp_path / "p"), 3, adaptive(3))
    watched.go_on.clear()
    with ThreadPoolExecutor(3) as pool:
        runs = []
        for _ in range(3):
            runs.append(pool.submit(session.run, IMAGE))
            assert watched.entered.acquire(timeout=30)
        assert watched.ran == [3, 3, 1]
        watched.go_on.set()
        answers = [run.result() for run in runs]
    assert all((answer == answers[0]).all() for answer in answers)
    for _ in range(4):
        session.run(IMAGE)
    assert watched.ran == [3, 3, 1, 1, 1, 1, 3]  # Of late there were three at once.


def test_a_run_that_fails_leaves_no_trace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    watched = Watched(monkeypatch)
    session = OnnxSession(build_package(tmp_path / "p"), 2, adaptive(2))
    for _ in range(3):
        with pytest.raises(GraphError, match="cannot run the graph"):
            session.run(np.zeros((1, 3, 8, 8), np.float32))
    session.run(IMAGE)
    assert watched.ran == [2, 2, 2, 2]


def test_only_threads_that_answer_one_run_together_spin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened = []
    real = onnx.open_session

    def noted(path: Path, threads: int, *, spin: bool = False) -> Any:
        opened.append((threads, spin))
        return real(path, threads, spin=spin)

    monkeypatch.setattr(onnx, "open_session", noted)
    OnnxSession(build_package(tmp_path / "p"), 2, adaptive(2))
    assert opened == [(2, True), (1, False)]


def test_where_threads_never_spin_one_session_is_enough(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened = []
    real = onnx.open_session

    def noted(path: Path, threads: int, *, spin: bool = False) -> Any:
        opened.append((threads, spin))
        return real(path, threads, spin=spin)

    monkeypatch.setattr(onnx, "open_session", noted)
    session = OnnxSession(build_package(tmp_path / "p"), 2, FixedPolicy())
    assert opened == [(2, False)]
    expected = OnnxSession(build_package(tmp_path / "q"), 2, adaptive(2)).run(IMAGE)
    assert (session.run(IMAGE) == expected).all()


_BURST = """
import sys, threading, time
from pathlib import Path
import numpy as np
import onnx
from onnx import TensorProto, helper
from handful_core.runtime import thread_policy
from handful_core.runtime.onnx import OrtGraph

thread_policy.TRIM_AFTER = float(sys.argv[2])
weights = helper.make_tensor("w", TensorProto.FLOAT, (32, 3, 3, 3), np.zeros(864, np.float32))
nodes = [
    helper.make_node("Conv", ["x", "w"], ["large"], pads=[1, 1, 1, 1]),
    helper.make_node("ReduceMax", ["large"], ["y"], keepdims=0),
]
shapes = [helper.make_tensor_value_info("x", TensorProto.FLOAT, (1, 3, 512, 512))]
graph = helper.make_graph(nodes, "g", shapes, [helper.make_tensor_value_info("y", TensorProto.FLOAT, ())], [weights])
onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), sys.argv[1])

graph = OrtGraph(Path(sys.argv[1]), 2)
image = {"x": np.zeros((1, 3, 512, 512), np.float32)}
together = threading.Barrier(2)

def run():
    for _ in range(5):
        together.wait()
        graph.run(["y"], image)

def resident():
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096 // 1_000_000

threads = [threading.Thread(target=run) for _ in range(2)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
burst = resident()
time.sleep(1.1)
graph.run(["y"], image)
print(burst - resident())
"""


@pytest.mark.skipif(sys.platform != "linux", reason="reads its memory from /proc")
def test_what_only_a_burst_needs_is_given_back(tmp_path: Path) -> None:
    assert _given_back(tmp_path, seconds=1) > 50  # Megabytes: what one run of two held.
    assert _given_back(tmp_path, seconds=1000) < 10


def _given_back(folder: Path, seconds: float) -> int:
    """Megabytes that a process has less after the first run that is alone again."""
    words = [sys.executable, "-c", _BURST, str(folder / "graph.onnx"), str(seconds)]
    return int(subprocess.run(words, capture_output=True, text=True, check=True, timeout=120).stdout)


def test_with_one_processor_there_is_one_session(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened = []
    real = onnx.open_session

    def noted(path: Path, threads: int, **how: Any) -> Any:
        opened.append(threads)
        return real(path, threads, **how)

    monkeypatch.setattr(onnx, "open_session", noted)
    OnnxSession(build_package(tmp_path / "p"), 1, adaptive(1)).run(IMAGE)
    assert opened == [1]
