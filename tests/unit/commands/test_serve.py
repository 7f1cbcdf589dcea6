from __future__ import annotations

import pytest

from commands import quickstart, stack
from commands.parser import ScriptParser


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The words that the embedded servers were started with."""
    words: list[str] = []

    def start(argv: list[object]) -> int:
        words.extend(str(word) for word in argv[1:])
        return 0

    monkeypatch.setattr(quickstart, "install", lambda parts: 0)
    monkeypatch.setattr(quickstart, "exec_command", start)
    return words


def test_the_embedded_servers_need_no_docker(started: list[str]) -> None:
    assert stack.serve(ScriptParser("serve.sh"), ["--embedded", "--port", "8010"]) == 0
    assert started == ["quickstart", "--no-train", "--port", "8010"]


def test_the_monitor_is_one_of_them_when_asked_for(started: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert stack.serve(ScriptParser("serve.sh"), ["--embedded", "--monitor"]) == 0
    assert started == ["quickstart", "--no-train", "--monitor"]
    with pytest.raises(SystemExit) as ended:
        stack.serve(ScriptParser("serve.sh"), ["--monitor"])
    assert ended.value.code == 2
    assert "docker compose --profile monitoring up --wait" in " ".join(capsys.readouterr().err.split())


def test_an_installation_that_failed_starts_nothing(started: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(quickstart, "install", lambda parts: 5)
    assert stack.serve(ScriptParser("serve.sh"), ["--embedded"]) == 5
    assert started == []


def test_ports_of_the_stack_are_not_options(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        stack.serve(ScriptParser("serve.sh"), ["--port", "8010"])
    assert ended.value.code == 2
    assert "are for --embedded" in capsys.readouterr().err
