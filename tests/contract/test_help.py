"""Help in plain words, of every command: what an option takes, never Python's or Typer's names of types."""

from __future__ import annotations

import re
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from contract.test_pinned import commands
from handful_core.cli.help import NUMBER, PlainCommand, PlainGroup, value_of
from handful_core.cli.main import build_app

APP = build_app()
ALL = list(commands(typer.main.get_command(APP)))
WORDS = {"FILE", "FOLDER", "NAME", "NAMES", "MODEL", "BACKUP", "AGE", "ID", "PREFIX", "URL", "ADDRESS", "KEY=VALUE"}
JARGON = re.compile(r"<[a-z]|list\[|\b(str|int|float|TEXT|INTEGER|RANGE)\b|(?<!/)\bPATH\b|<=|>=|\{\w+\}")


@pytest.mark.parametrize("words", ALL, ids=" ".join)
def test_help_has_no_jargon(words: tuple[str, ...]) -> None:
    shown = CliRunner().invoke(APP, [*words, "--help"], prog_name="handful", terminal_width=120)
    assert shown.exit_code == 0
    assert JARGON.findall(shown.stdout) == []


@pytest.mark.parametrize("words", ALL, ids=" ".join)
def test_every_option_says_what_it_takes(words: tuple[str, ...]) -> None:
    command = typer.main.get_command(APP)
    for word in words:
        command = command.commands[word]  # type: ignore[attr-defined]
    assert isinstance(command, PlainCommand | PlainGroup), "build_app gives no other"
    unsaid = {param.name: value_of(param) for param in command.params if _takes_a_value(param)}
    assert {name: word for name, word in unsaid.items() if not _is_plain(word)} == {}


def _takes_a_value(param: Any) -> bool:
    return param.param_type_name == "option" and not param.is_flag


def _is_plain(word: str | None) -> bool:
    return word is not None and (word in WORDS | {NUMBER} or re.fullmatch(r"[a-z0-9]+(\|[a-z0-9]+)*", word) is not None)
