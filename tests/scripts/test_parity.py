"""The scripts are there for every system, and their options, help and exit codes are those of one program."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import entry_points
from pathlib import Path

import pytest
import tree_sitter_powershell
import typer
from tree_sitter import Language, Node, Parser

from run import COMMANDS as PROGRAMS
from support.shells import COMMANDS, KINDS, Shell, shell

_BODY = {
    "sh": (
        "#!/usr/bin/env bash\n{about}set -Eeuo pipefail\n\n# shellcheck source=scripts/lib/python.sh\n"
        '. "$(dirname "${{BASH_SOURCE[0]}}")/lib/python.sh"\n\nhandful_script {file} "$@"\n'
    ),
    "ps1": ("#!/usr/bin/env pwsh\n{about}. \"$PSScriptRoot/lib/python.ps1\"\nInvoke-HandfulScript '{file}' $args\n"),
    "bat": '{about}@"%~dp0lib\\python.bat" {file} %*\n',
}
_REMARK = {"sh": "# ", "ps1": "# ", "bat": "@rem "}


@pytest.fixture(params=KINDS)
def any_shell(request: pytest.FixtureRequest, tmp_path: Path) -> Shell:
    return shell(request.param, tmp_path)


def test_every_script_is_there_for_every_system(repository: Path) -> None:
    found = {kind: {path.stem for path in repository.glob(f"scripts/*.{kind}")} for kind in KINDS}
    found["sh"].remove("lock")  # Of those who work on Handful: CONTRIBUTING.md.
    assert found == {kind: set(COMMANDS) for kind in KINDS}
    assert set(PROGRAMS) == set(COMMANDS)


@pytest.mark.parametrize("name", COMMANDS)
def test_the_three_say_the_same_and_hand_all_on(repository: Path, name: str) -> None:
    abouts = set()
    for kind in KINDS:
        text = (repository / "scripts" / f"{name}.{kind}").read_bytes().decode()
        lines = text.replace("\r\n", "\n")
        about = next(line for line in lines.splitlines(keepends=True) if line.startswith(_REMARK[kind]))
        assert lines == _BODY[kind].format(about=about, file=f"{name}.{kind}")
        abouts.add(about.removeprefix(_REMARK[kind]))
    assert len(abouts) == 1


def test_batch_files_have_the_line_ends_of_windows_and_the_others_do_not(repository: Path) -> None:
    files = [path for kind in KINDS for path in repository.glob(f"scripts/**/*.{kind}")]
    assert len(files) >= 3 * len(COMMANDS) + 3
    for path in files:
        content = path.read_bytes()
        assert content.count(b"\r\n") == (content.count(b"\n") if path.suffix == ".bat" else 0), path
        words = ["git", "check-attr", "eol", "--", str(path)]
        said = subprocess.run(words, cwd=repository, capture_output=True, text=True, check=True).stdout
        assert said.strip().endswith("crlf" if path.suffix == ".bat" else "lf"), path


@pytest.mark.parametrize(
    "words", [[], ["--help"], ["--set", "training.epochs=3", "-k", "a b", "x.yaml", "--port", "80"]]
)
def test_the_words_reach_python_as_they_are(repository: Path, any_shell: Shell, words: list[str]) -> None:
    done = any_shell.run(repository / "scripts" / "train", *words)
    assert done.returncode == 0, done.stderr
    assert any_shell.received_argv() == ["-B", "run.py", f"train.{any_shell.kind}", *words]


@pytest.mark.parametrize("code", [2, 130])
def test_the_exit_code_is_python_s(repository: Path, any_shell: Shell, code: int) -> None:
    assert any_shell.run(repository / "scripts" / "up", code=code).returncode == code


def test_a_path_with_blanks_and_brackets(repository: Path, any_shell: Shell, tmp_path: Path) -> None:
    folder = tmp_path / "my (new) folder & all"
    folder.mkdir()
    (folder / "scripts").symlink_to(repository / "scripts")
    assert any_shell.run(folder / "scripts" / "down", "--delete-data", code=3).returncode == 3
    assert any_shell.received_argv()[1:] == ["run.py", f"down.{any_shell.kind}", "--delete-data"]


@pytest.mark.parametrize("name", COMMANDS)
def test_the_help_is_one(name: str, repository: Path) -> None:
    said = {kind: _python(repository, f"{name}.{kind}", "--help") for kind in KINDS}
    assert {done.returncode for done in said.values()} == {0}
    assert len({done.stdout.replace(f".{kind}", "") for kind, done in said.items()}) == 1
    for kind, done in said.items():
        assert done.stdout.startswith(f"usage: scripts{os.sep}{name}.{kind} [")
        assert max(map(len, done.stdout.splitlines())) <= 120
        assert done.stdout == _python(repository, f"{name}.{kind}", "-h").stdout


@pytest.mark.parametrize("name", ["train", "export", "import", "quickstart"])
def test_the_help_names_the_options_of_the_command_and_no_others(name: str, repository: Path) -> None:
    (command,) = entry_points(group="handful.commands", name=name)
    app = typer.Typer(add_completion=False)
    app.command()(command.load())
    known = {option for param in typer.main.get_command(app).params for option in param.opts if option.startswith("--")}
    told = set(re.findall(r"^  (?:-., )?(--[a-z-]+)", _python(repository, f"{name}.sh", "--help").stdout, re.MULTILINE))
    # The scripts have these beside the command: of the installation, and of `handful` itself.
    assert told - {"--help", "--install-only", "--debug"} == known


@pytest.mark.parametrize("name", ["up", "down", "serve", "quickstart", "monitor"])
def test_an_unknown_option_is_told_in_one_line(name: str, repository: Path) -> None:
    done = _python(repository, f"{name}.sh", "--exot")
    assert done.returncode == 2
    assert done.stderr == f"error: unrecognized arguments: --exot: see scripts{os.sep}{name}.sh --help\n"


@pytest.mark.parametrize("path", sorted(Path(__file__).parents[2].glob("scripts/**/*.ps1")), ids=lambda path: path.name)
def test_powershell_can_be_parsed(path: Path) -> None:
    tree = Parser(Language(tree_sitter_powershell.language())).parse(path.read_bytes())
    faults = [node for node in _nodes(tree.root_node) if node.is_error or node.is_missing]
    assert [f"{node.start_point}: {node.text!r}" for node in faults] == []


def test_the_parser_sees_a_fault() -> None:
    tree = Parser(Language(tree_sitter_powershell.language())).parse(b"function Find { if ($true) { 'a' }\n")
    assert tree.root_node.has_error


def _nodes(node: Node) -> Iterator[Node]:
    yield node
    for child in node.children:
        yield from _nodes(child)


def _python(repository: Path, script: str, *words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-B", str(repository / "scripts" / "run.py"), script, *words]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60, cwd="/")
