"""The real thing: MLflow, serving and a tiny training, as a user meets them."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest
import yaml

from fakes.squares import write_squares
from support.mlflow_server import free_port

_SECONDS = 400


class Quickstart:
    """`handful quickstart` with a home of its own, whose name has a space in it."""

    def __init__(self, folder: Path, repository: Path) -> None:
        self.home = folder / "home of handful"
        self._repository = repository
        self._config = folder / "tiny.yaml"
        content = {
            "dataset": {"source": "yolo", "path": str(write_squares(folder / "squares"))},
            "training": {"epochs": 1, "imgsz": 64, "batch": 6, "workers": 0},
            "package": {"confidence": 0.01},
            "mlflow": {"model_name": "squares"},
        }
        self._config.write_text(yaml.safe_dump(content))

    @contextmanager
    def started(self, *words: str, log: Path) -> Iterator[subprocess.Popen[bytes]]:
        """The running command, which is ended at the latest with the block."""
        handful = Path(sys.executable).parent / "handful"
        command = [handful, "quickstart", "--config", self._config, *words]
        environment = os.environ | {"HANDFUL_HOME": str(self.home), "OMP_NUM_THREADS": "2"}
        with (
            log.open("wb") as output,
            subprocess.Popen(
                command, cwd=self._repository, env=environment, stdout=output, stderr=output, start_new_session=True
            ) as process,
        ):
            try:
                yield process
            finally:
                process.terminate()

    def run(self, *words: str, log: Path) -> tuple[int, str]:
        """Its exit code and what it said."""
        with self.started(*words, log=log) as process:
            code = process.wait(_SECONDS)
        return code, log.read_text()


@pytest.fixture
def quickstart(tmp_path: Path, repository: Path) -> Iterator[Quickstart]:
    started = Quickstart(tmp_path, repository)
    yield started
    left_over = [process for process in psutil.process_iter() if str(started.home) in _home_of(process)]
    assert left_over == [], "processes were left behind"


def _home_of(process: psutil.Process) -> str:
    try:
        return process.environ().get("HANDFUL_HOME", "")
    except psutil.Error:
        return ""


def test_a_busy_port_is_told_in_one_line(quickstart: Quickstart, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        code, output = quickstart.run("--exit", "--port", str(port), log=tmp_path / "log")
    assert code == 1
    assert output.splitlines()[-1].startswith(f"error: the step 'check' failed: port {port} is in use by ")
    assert output.splitlines()[-1].endswith("stop that, or choose another port with --port")
    assert not (quickstart.home / "log").exists()


@pytest.mark.timeout(1200)
def test_it_serves_a_model_takes_up_what_is_there_and_ends_cleanly(quickstart: Quickstart, tmp_path: Path) -> None:
    log = tmp_path / "first"
    ports = ("--port", str(free_port()), "--mlflow-port", str(free_port()))
    with quickstart.started(*ports, log=log) as first:
        _wait_for("Ctrl-C ends it", log, first)
        assert "squares version 1 is served" in log.read_text()
        servers = psutil.Process(first.pid).children(recursive=True)
        assert len(servers) >= 5

        code, output = quickstart.run("--exit", log=tmp_path / "second")
        assert code == 6
        assert output.splitlines() == [
            f"error: another quickstart is running in {quickstart.home}: use its servers, or stop it with Ctrl-C "
            "first, or set HANDFUL_HOME to another folder"
        ]

        first.send_signal(signal.SIGINT)
        assert first.wait(60) == 0
    assert psutil.wait_procs(servers, timeout=0)[1] == []

    code, output = quickstart.run("--exit", *ports, log=tmp_path / "third")
    assert code == 0, output
    assert "squares version 1 is champion already" in output
    assert "squares version 1 is served" in output


def _wait_for(line: str, log: Path, process: subprocess.Popen[bytes]) -> None:
    until = time.monotonic() + _SECONDS
    while line not in log.read_text():
        assert process.poll() is None, log.read_text()
        assert time.monotonic() < until, log.read_text()
        time.sleep(0.2)
