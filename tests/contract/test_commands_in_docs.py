"""Every `handful` command that a page tells people to run is there, with its options."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Any

import pytest
import typer

from handful_core.cli.main import build_app

_BLOCK = re.compile(r"^```bash[^\n]*\n(.+?)^```$|((?:^ {4}\S.*\n)+)", re.MULTILINE | re.DOTALL)
_HERE_DOCUMENT = re.compile(r"<<-?'?(\w+)'?\n.*?^\1$", re.MULTILINE | re.DOTALL)
_ENDS = {"|", "||", "&&", ";", ">", ">>", "2>", "&", "2>&1"}


def _commands(text: str) -> list[list[str]]:
    """The words of each call of `handful` in a page's blocks for a shell."""
    found = []
    for fenced, indented in _BLOCK.findall(text):
        block = _HERE_DOCUMENT.sub("", fenced or indented).replace("\\\n", " ")
        for line in block.splitlines():
            words = _words(line)
            calls = [index for index, word in enumerate(words) if word == "handful" and not _is_namespace(words, index)]
            if calls:
                words = words[calls[0] + 1 :]
                ends = [index for index, word in enumerate(words) if word in _ENDS]
                found.append(words[: ends[0]] if ends else words)
    return found


def _is_namespace(words: list[str], index: int) -> bool:
    """Kubernetes' namespace has the same name: `kubectl -n handful get pods`."""
    return index > 0 and words[index - 1] in {"-n", "--namespace", "namespace"}


def _words(line: str) -> list[str]:
    try:
        return shlex.split(line, comments=True)
    except ValueError:
        return []


def _fault(command: Any, words: list[str]) -> str:
    """What a call names that is not there; empty if all is."""
    while (inner := getattr(command, "commands", {})) and words and not words[0].startswith("-"):
        if words[0] not in inner:
            return words[0]
        command, words = inner[words[0]], words[1:]
    known = {option for parameter in command.params for option in (*parameter.opts, *parameter.secondary_opts)}
    given = [word.partition("=")[0] for word in words if re.match(r"--?[a-z]", word)]
    return next((option for option in given if option not in known | {"--help"}), "")


def test_commands_and_options_are_there(repository: Path) -> None:
    app = typer.main.get_command(build_app())
    pages = [repository / "README.md", repository / "CONTRIBUTING.md"]
    pages += [page for page in repository.glob("docs/**/*.md") if page.parent.name not in {"adr", "reference"}]
    called = [(page.name, words) for page in pages for words in _commands(page.read_text(encoding="utf-8"))]
    assert len(called) > 80
    assert not [(page, fault, words) for page, words in called if (fault := _fault(app, words))]


@pytest.mark.parametrize(
    ("line", "fault"),
    [
        ("handful models --json", ""),
        ("handful data prepare --config my.yaml  # --nonsense", ""),
        ("handful data prepare --confg my.yaml", "--confg"),
        ("handful modles", "modles"),
        ("handful export --out - | ssh vault --what", ""),
    ],
)
def test_a_wrong_word_is_found(line: str, fault: str) -> None:
    (words,) = _commands(f"```bash\n{line}\n```\n")
    assert _fault(typer.main.get_command(build_app()), words) == fault
