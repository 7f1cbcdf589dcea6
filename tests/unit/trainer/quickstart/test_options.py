from __future__ import annotations

import shutil
import socket
import subprocess
import sys
from collections import namedtuple
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from handful_core.errors import ConfigError, ResourceError
from handful_trainer.quickstart.options import Options, check
from handful_trainer.quickstart.record import ProcessMark, StackRecord
from support.mlflow_server import free_port

_Usage = namedtuple("_Usage", "total used free")


@pytest.fixture
def options(tmp_path: Path) -> Options:
    (tmp_path / "Procfile").write_text("mlflow: true\n")
    return Options(tmp_path, tmp_path / "var", Path("configs/sample.yaml"), port=free_port(), mlflow_port=free_port())


@pytest.fixture
def sleeper() -> Iterator[psutil.Process]:
    """A process that would stay for a long time."""
    process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    yield psutil.Process(process.pid)
    process.kill()
    process.wait()


def _with(options: Options, **changes: object) -> Options:
    from dataclasses import replace

    return replace(options, **changes)  # type: ignore[arg-type]


def test_a_fit_machine_gets_a_plan(options: Options) -> None:
    plan, running = check(options)
    assert running is None
    assert (plan.port, plan.mlflow_port) == (options.port, options.mlflow_port)
    assert plan.home.is_dir()


def test_a_busy_port_is_told(options: Options) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        with pytest.raises(ResourceError, match=f"port {port} is in use by .*: stop that, or choose .* with --port"):
            check(_with(options, port=port))
        with pytest.raises(ResourceError, match=f"port {port} is in use by .* with --mlflow-port"):
            check(_with(options, mlflow_port=port))


def test_one_port_for_both_is_told(options: Options) -> None:
    with pytest.raises(ConfigError, match="choose two ports"):
        check(_with(options, mlflow_port=options.port))


def test_another_folder_is_told(options: Options, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="run this in Handful's own folder"):
        check(_with(options, folder=tmp_path / "elsewhere"))


def test_a_missing_service_is_told(options: Options, monkeypatch: pytest.MonkeyPatch) -> None:
    from handful_trainer.quickstart import options as module

    monkeypatch.setattr(module, "entry_points", lambda **which: ())
    with pytest.raises(ConfigError, match="serving is not installed"):
        check(options)


def test_a_full_disk_is_told(options: Options, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda path: _Usage(100 << 30, 99 << 30, 1 << 30))
    with pytest.raises(ResourceError, match=r"has 1\.0 GB free: make room: 2 GB are needed"):
        check(options)


def test_a_home_that_cannot_be_written_is_told(options: Options, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ResourceError, match=r"cannot be written .*: set HANDFUL_HOME"):
        check(_with(options, home=tmp_path / "file" / "var"))


def _record(options: Options, owner: ProcessMark, *processes: psutil.Process) -> StackRecord:
    record = StackRecord(owner=owner, port=7001, mlflow_port=7002, processes=tuple(map(ProcessMark.of, processes)))
    record.write(options.home)
    return record


def test_servers_that_run_are_used(options: Options, sleeper: psutil.Process) -> None:
    record = _record(options, ProcessMark.of(psutil.Process()), sleeper)
    plan, running = check(_with(options, port=None, mlflow_port=None))
    assert running == record
    assert (plan.port, plan.mlflow_port) == (7001, 7002)
    assert sleeper.is_running()


def test_servers_that_run_on_other_ports_are_told(options: Options, sleeper: psutil.Process) -> None:
    _record(options, ProcessMark.of(psutil.Process()), sleeper)
    with pytest.raises(ConfigError, match="run already, on the ports 7001 and 7002: leave out --port"):
        check(options)


def test_what_a_crash_left_behind_is_ended(
    options: Options, sleeper: psutil.Process, capsys: pytest.CaptureFixture[str]
) -> None:
    _record(options, ProcessMark(pid=2**22 + 1, created=1), sleeper)
    plan, running = check(options)
    assert running is None
    assert plan.port == options.port
    assert not sleeper.is_running() or sleeper.status() == psutil.STATUS_ZOMBIE
    assert "ending 1 processes that a quickstart left behind" in capsys.readouterr().err


def test_a_later_process_with_the_same_id_is_spared(options: Options, sleeper: psutil.Process) -> None:
    mark = ProcessMark(pid=sleeper.pid, created=sleeper.create_time() - 1000)
    StackRecord(owner=mark, port=7001, mlflow_port=7002, processes=(mark,)).write(options.home)
    assert check(options)[1] is None
    assert sleeper.is_running()


def test_a_damaged_record_is_no_record(options: Options) -> None:
    path = StackRecord.path(options.home)
    path.parent.mkdir(parents=True)
    path.write_text("{")
    assert check(options)[1] is None
