"""scripts/demo: what is walked through, and what ends it."""

from __future__ import annotations

import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from commands import demo
from commands.parser import ScriptParser
from handful_core.cli.main import build_app
from installer.layout import Layout


def _commands() -> list[str]:
    return [command for step in demo.steps("8000") for command in step.commands]


@pytest.mark.parametrize("command", _commands())
def test_every_command_has_its_options(command: str) -> None:
    program, *words = shlex.split(command)
    assert program == "handful"
    names = [word for word in words if not word.startswith("-")][: 2 if words[0] in {"monitor", "data"} else 1]
    told = CliRunner().invoke(build_app(), [*names, "--help"], terminal_width=200)
    assert told.exit_code == 0
    assert [word for word in words if word.startswith("-") and word not in told.stdout] == []


def test_pictures_and_configurations_are_there(repository: Path) -> None:
    named = [word for command in _commands() for word in shlex.split(command) if word.endswith((".webp", ".yaml"))]
    assert named
    assert [name for name in named if not (repository / name).is_file()] == []


def test_a_command_that_fails_ends_the_walk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(Layout, "tool", lambda self, name: Path(sys.executable))
    walk = (demo.Step("One", "Fails.", ("handful -c exit(3)",)), demo.Step("Two", "Is not reached."))
    assert demo._walk(Layout(tmp_path), walk, pause=False) == 3
    captured = capsys.readouterr()
    assert "1 of 2: One" in captured.out
    assert "Two" not in captured.out
    assert "handful -c exit(3) ended with exit code 3" in captured.err


def test_servers_that_end_are_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    log = tmp_path / "log"
    log.write_text("first\nerror: port 8000 is taken\n", encoding="utf-8")
    started = subprocess.Popen([sys.executable, "-c", "raise SystemExit(6)"])
    started.wait()
    assert not demo._is_ready(started, "http://127.0.0.1:9", log)
    assert "the servers ended: error: port 8000 is taken" in capsys.readouterr().err


def test_a_port_is_a_number(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        demo.demo(ScriptParser("demo.sh"), ["--port", "http"])
    assert ended.value.code == 2
