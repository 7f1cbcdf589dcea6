"""scripts/menu: the other scripts by a word or a number."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator

import pytest

import run
from commands import menu
from commands.parser import ScriptParser


@pytest.fixture
def ran(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """The scripts that were run, with their words."""
    calls: list[list[str]] = []

    def start(argv: list[str], *, check: bool) -> subprocess.CompletedProcess[bytes]:
        calls.append([str(word) for word in argv[3:]])
        return subprocess.CompletedProcess(argv, 3)

    monkeypatch.setattr(subprocess, "run", start)
    return calls


def _type(monkeypatch: pytest.MonkeyPatch, *lines: str) -> None:
    typed: Iterator[str] = iter(lines)

    def answer(_: str) -> str:
        try:
            return next(typed)
        except StopIteration:
            raise EOFError from None

    monkeypatch.setattr("builtins.input", answer)


def test_a_word_runs_its_script_with_the_words_behind_it(ran: list[list[str]]) -> None:
    assert menu.menu(ScriptParser("menu.sh"), ["pipeline", "status", "--quiet"]) == 3
    assert ran == [["pipeline.sh", "status", "--quiet"]]


def test_the_kind_of_script_stays(ran: list[list[str]]) -> None:
    menu.menu(ScriptParser("menu.ps1"), ["tests", "unit"])
    assert ran == [["test.ps1", "unit"]]


@pytest.mark.parametrize("word", menu.ENTRIES)
def test_every_word_has_a_script(word: str) -> None:
    script, _, does = menu.ENTRIES[word]
    assert script in run.COMMANDS
    assert does


def test_a_list_is_shown_until_the_end_of_what_is_typed(
    ran: list[list[str]], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    _type(monkeypatch, "3", "nonsense", "0", "demo")
    assert menu.menu(ScriptParser("menu.sh"), []) == 0
    assert ran == [["serve.sh", "--embedded"], ["demo.sh"]]
    captured = capsys.readouterr()
    assert "nonsense is none of these: type a number, a word, or q" in captured.err
    assert all(word in captured.out for word in menu.ENTRIES)


def test_q_ends(ran: list[list[str]], monkeypatch: pytest.MonkeyPatch) -> None:
    _type(monkeypatch, "q", "1")
    assert menu.menu(ScriptParser("menu.sh"), []) == 0
    assert ran == []


def test_an_unknown_word_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        menu.menu(ScriptParser("menu.sh"), ["pipelin"])
    assert ended.value.code == 2
    assert "there is no word pipelin" in capsys.readouterr().err
