"""The words of scripts/test."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from commands import suites, tests
from commands.parser import ScriptParser
from installer.layout import Layout


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The words that pytest was started with."""
    words: list[str] = []

    def start(argv: list[object]) -> int:
        words.extend(str(word) for word in argv[1:])
        return 0

    monkeypatch.setattr(tests, "install", lambda parts: 0)
    monkeypatch.setattr(tests, "_install_programs", lambda layout, servers: None)
    monkeypatch.setattr(tests, "exec_command", start)
    return words


@pytest.mark.parametrize("word", suites.SUITES)
def test_a_word_chooses_tests(word: str, started: list[str]) -> None:
    assert tests.test(ScriptParser("test.sh"), [word, "--maxfail", "1"]) == 0
    assert started == ["--numprocesses", "2", *suites.SUITES[word][1], "--maxfail", "1"]


def test_folders_and_files_of_words_are_there(repository: Path) -> None:
    folders = [path for _, words in suites.SUITES.values() for path in words if path.startswith("tests/")]
    assert folders
    assert [path for path in folders if not (repository / path).exists()] == []


def test_security_finds_the_tests_of_each_of_its_words(repository: Path) -> None:
    words = suites.SUITES["security"][1][1].split(" or ")
    files = list((repository / "tests").rglob("test_*.py"))
    tests = [name for file in files for name in re.findall(r"def (test_\w+)", file.read_text(encoding="utf-8"))]
    names = " ".join([*tests, *(file.name for file in files)])
    assert [word for word in words if word not in names] == []


def test_an_option_of_everything_does_not_go_with_a_word(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        tests.test(ScriptParser("test.sh"), ["api", "--stack"])
    assert ended.value.code == 2
    assert "options don't go with the word api: words for pytest do" in capsys.readouterr().err


def test_every_benchmark_runs_and_the_first_failure_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    python = tmp_path / "python"
    ran = tmp_path / "ran"
    python.write_text(f'#!/bin/sh\necho "$@" >> {shlex.quote(str(ran))}\ncase $1 in *serving.py) exit 4;; esac\n')
    python.chmod(0o755)
    monkeypatch.setattr(Layout, "python", python)
    assert suites.run_benchmarks(Layout(tmp_path)) == 4
    benchmarks = [Path(line.split()[0]) for line in ran.read_text(encoding="utf-8").splitlines()]
    assert [path.name for path in benchmarks] == list(suites._BENCHMARKS)
    assert all(path.is_file() for path in benchmarks)
