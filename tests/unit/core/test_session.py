"""Which of its two sessions in ONNX Runtime answers: the one with all processors, or the one with one."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fakes.packages import build_package
from handful_core.package.errors import GraphError
from handful_core.vision import session as module
from handful_core.vision.session import OnnxSession

IMAGE = np.zeros((1, 3, 64, 64), np.float32)


class Watched:
    """ONNX Runtime's sessions, which tell how many threads the one has that runs, and wait to be let go."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.ran: list[int] = []
        self.entered = threading.Semaphore(0)
        self.go_on = threading.Event()
        self.go_on.set()
        real = module.open_session

        def watched(path: Path, threads: int) -> Any:
            return _One(real(path, threads), threads, self)

        monkeypatch.setattr(module, "open_session", watched)


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
    session = OnnxSession(build_package(tmp_path / "p"), 3)
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
    session.run(IMAGE)
    assert watched.ran == [3, 3, 1, 3]


def test_a_run_that_fails_leaves_no_trace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    watched = Watched(monkeypatch)
    session = OnnxSession(build_package(tmp_path / "p"), 2)
    for _ in range(3):
        with pytest.raises(GraphError, match="cannot run the graph"):
            session.run(np.zeros((1, 3, 8, 8), np.float32))
    session.run(IMAGE)
    assert watched.ran == [2, 2, 2, 2]


def test_with_one_processor_there_is_one_session(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened = []
    real = module.open_session

    def noted(path: Path, threads: int) -> Any:
        opened.append(threads)
        return real(path, threads)

    monkeypatch.setattr(module, "open_session", noted)
    OnnxSession(build_package(tmp_path / "p"), 1).run(IMAGE)
    assert opened == [1]
