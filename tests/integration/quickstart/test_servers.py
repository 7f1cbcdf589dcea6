"""The servers and their ends, with small servers in the place of the real ones."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import time
from dataclasses import replace
from pathlib import Path

import httpx
import psutil
import pytest

from handful_core.errors import UnavailableError
from handful_quickstart.plan import Plan
from handful_quickstart.ports import is_free
from handful_quickstart.servers import running_servers
from support.mlflow_server import free_port


def _gone(processes: list[psutil.Process], seconds: float = 20) -> bool:
    _, alive = psutil.wait_procs(processes, timeout=seconds)
    return not alive


def _servers(starter: psutil.Process | None = None) -> list[psutil.Process]:
    """All processes of the servers that this process or another one started; other tests have children, too."""
    wrappers = [p for p in (starter or psutil.Process()).children() if "handful_quickstart.process" in p.cmdline()]
    found = [process for wrapper in wrappers for process in (wrapper, *wrapper.children(recursive=True))]
    commands = " ".join(word for process in found for word in process.cmdline())
    assert "MLFLOW_PORT" in commands
    assert "HANDFUL_SERVING_PORT" in commands
    return found


def test_the_servers_answer_and_end(plan: Plan) -> None:
    with running_servers(plan) as servers:
        servers.wait_until_up()
        processes = _servers()
        assert httpx.get(plan.api, trust_env=False).is_success
        assert httpx.get(plan.mlflow, trust_env=False).is_success
        assert len(processes) >= 4
    assert _gone(processes, 0)
    assert is_free(plan.port)


def test_the_monitor_is_one_of_them_when_asked_for(plan: Plan) -> None:
    with (plan.folder / "Procfile").open("a") as procfile:
        procfile.write("monitor: exec python -m fakes.answering HANDFUL_MONITOR_PORT\n")
    with running_servers(plan) as servers:
        servers.wait_until_up()
        assert not (plan.logs / "monitor.log").exists()
    asked = replace(plan, monitor=True, monitor_port=free_port())
    with running_servers(asked) as servers:
        servers.wait_until_up()
        assert httpx.get(asked.servers["monitor"], trust_env=False).is_success
    assert is_free(asked.monitor_port)


def test_each_server_has_its_log(plan: Plan) -> None:
    for _ in range(2):
        with running_servers(plan) as servers:
            servers.wait_until_up()
    for name in ("mlflow", "serve"):
        for log in (plan.logs / f"{name}.log", plan.logs / f"{name}.log.1"):
            assert "listening" in log.read_text()


def test_a_server_that_ends_by_itself_is_told_and_ends_the_other(plan: Plan) -> None:
    (plan.folder / "Procfile").write_text(
        "mlflow: exec python -m fakes.answering MLFLOW_PORT\nserve: echo no such model; exit 4\n"
    )
    with running_servers(plan) as servers:
        with pytest.raises(UnavailableError) as caught:
            servers.wait_until_up()
        assert caught.value.message == "serve ended by itself with code 4"
        assert caught.value.hint == f"see {plan.logs / 'serve.log'}"
        assert "no such model" in (plan.logs / "serve.log").read_text()
    assert is_free(plan.mlflow_port)


def test_a_server_that_dies_later_ends_the_stay(plan: Plan) -> None:
    with running_servers(plan) as servers:
        servers.wait_until_up()
        server = next(p for p in _servers() if "MLFLOW_PORT" in p.cmdline() and p.name().startswith("python"))
        server.kill()
        with pytest.raises(UnavailableError, match="mlflow ended by itself with code 137"):
            servers.stay()


def test_a_server_whose_parent_is_killed_is_stopped_all_the_same(plan: Plan) -> None:
    with running_servers(plan) as servers:
        servers.wait_until_up()
        processes = _servers()
        next(p for p in processes if "handful_quickstart.process" in p.cmdline()).kill()
        with pytest.raises(UnavailableError):
            servers.stay()
    assert _gone(processes, 5)


_STARTER = """
import sys
from pathlib import Path
from handful_quickstart.plan import Plan
from handful_quickstart.process import signals_interrupt
from handful_quickstart.servers import running_servers
from support.mlflow_server import free_port
folder, port, mlflow_port = sys.argv[1:]
plan = Plan(Path(folder), Path(folder) / "var", Path("none"), int(port), int(mlflow_port))
with signals_interrupt(), running_servers(plan) as servers:
    servers.wait_until_up()
    servers.stay()
"""


@pytest.fixture
def starter(plan: Plan, tmp_path: Path) -> subprocess.Popen[str]:
    """A process that keeps the servers up."""
    script = tmp_path / "starter.py"
    script.write_text(textwrap.dedent(_STARTER))
    words = [sys.executable, script, plan.folder, str(plan.port), str(plan.mlflow_port)]
    return subprocess.Popen(words, stderr=subprocess.PIPE, text=True, start_new_session=True)


def _wait_until_up(starter: subprocess.Popen[str]) -> None:
    assert starter.stderr is not None
    assert starter.stderr.readline() == "Ctrl-C ends it\n"


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGKILL])
def test_no_server_outlives_its_starter(plan: Plan, starter: subprocess.Popen[str], how: signal.Signals) -> None:
    with starter:
        _wait_until_up(starter)
        processes = _servers(psutil.Process(starter.pid))
        starter.send_signal(how)
        assert starter.wait(30) == (-how if how == signal.SIGKILL else 0)
    assert _gone(processes)
    assert is_free(plan.port)


@pytest.fixture
def slow(plan: Plan) -> None:
    """MLflow takes half a second to stop."""
    lines = (plan.folder / "Procfile").read_text()
    (plan.folder / "Procfile").write_text(lines.replace("mlflow: exec", "mlflow: trap 'sleep 0.5' TERM;"))


def test_ctrl_c_at_the_terminal_ends_it_in_order(plan: Plan, slow: None, starter: subprocess.Popen[str]) -> None:
    """The terminal sends it to the whole group, and an impatient user twice."""
    with starter:
        _wait_until_up(starter)
        processes = _servers(psutil.Process(starter.pid))
        os.killpg(starter.pid, signal.SIGINT)
        time.sleep(0.05)
        os.killpg(starter.pid, signal.SIGINT)
        assert starter.wait(30) == 0
    assert _gone(processes, 0)
