from __future__ import annotations

import shutil
import socket
from collections import namedtuple
from dataclasses import replace
from pathlib import Path

import pytest

from handful_core.errors import ConfigError, ResourceError
from handful_quickstart import plan as plan_module
from handful_quickstart.plan import Options, check
from handful_quickstart.ports import is_free
from support.mlflow_server import free_port

_Usage = namedtuple("_Usage", "total used free")


@pytest.fixture
def options(tmp_path: Path) -> Options:
    (tmp_path / "Procfile").write_text("mlflow: true\n")
    return Options(tmp_path, tmp_path / "var", Path("configs/sample.yaml"), port=free_port(), mlflow_port=free_port())


def _with(options: Options, **changes: object) -> Options:
    return replace(options, **changes)  # type: ignore[arg-type]


def test_a_fit_machine_gets_a_plan(options: Options) -> None:
    plan = check(options)
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


def test_the_monitor_is_started_when_asked_for(options: Options) -> None:
    without = check(options)
    assert set(without.servers) == {"mlflow", "serve"}
    assert "HANDFUL_MONITOR_PORT" not in without.environment({})
    asked = check(_with(options, monitor=True))
    assert set(asked.servers) == {"mlflow", "serve", "monitor"}
    environment = asked.environment({})
    assert environment["HANDFUL_MONITOR_PORT"] == str(asked.monitor_port)
    assert environment["HANDFUL_SERVING_MONITOR"] == f"http://127.0.0.1:{asked.monitor_port}"
    assert asked.monitor_port not in {asked.port, asked.mlflow_port}


def test_the_monitor_gets_another_port_where_its_own_is_taken(options: Options) -> None:
    assert check(_with(options, monitor=True, port=8002 if is_free(8002) else options.port)).monitor_port != 8002


def test_another_folder_is_told(options: Options, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="run this in Handful's own folder"):
        check(_with(options, folder=tmp_path / "elsewhere"))


def test_a_missing_service_is_told(options: Options, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plan_module, "entry_points", lambda **which: ())
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
