"""Which words of scripts/pipeline go to DVC, and how."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest

from commands import pipeline as program
from commands.parser import ROOT, ScriptParser
from commands.pipeline_checks import check
from commands.pipeline_remote import RemoteError
from installer.command import InstallError
from installer.layout import Layout


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """What was started in place of the script, where all is installed."""
    found: list[list[str]] = []

    def start(argv: Sequence[str | Path]) -> int:
        found.append([str(word) for word in argv])
        return 255

    monkeypatch.setattr(os, "environ", dict(os.environ))
    monkeypatch.setattr(program, "install", lambda words: 0)
    monkeypatch.setattr(program, "ensure_dvc", lambda layout: Path("/own/dvc"))
    monkeypatch.setattr(program, "exec_command", start)
    return found


def run(*words: str) -> int:
    return program.pipeline(ScriptParser("pipeline.sh"), list(words))


@pytest.mark.parametrize(
    ("words", "dvc"),
    [
        (["repro"], ["repro"]),
        (["repro", "train", "--force"], ["repro", "train", "--force"]),
        (["repro", "--help"], ["repro", "--help"]),
        (["metrics", "show", "--json"], ["metrics", "show", "--json"]),
        (["push", "--remote", "other"], ["push", "--remote", "other"]),
        (["dvc", "gc", "--workspace"], ["gc", "--workspace"]),
        (["dvc"], []),
    ],
)
def test_words_go_to_dvc_as_they_are(started: list[list[str]], words: list[str], dvc: list[str]) -> None:
    assert run(*words) == 255, "DVC's own exit code"
    assert started == [["/own/dvc", *dvc]]
    assert os.environ["PATH"].split(os.pathsep)[0] == str(ROOT / ".venv" / ("Scripts" if os.name == "nt" else "bin"))
    assert os.environ["DVC_NO_ANALYTICS"] == "true"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "name a command"),
        (["--remote", "x"], "name a command"),
        (["reproo"], "there is no command reproo"),
        (["init", "--exot"], "unrecognized arguments: --exot"),
        (["check", "--remote", "x"], "--remote and --endpoint belong to init"),
    ],
)
def test_a_wrong_word_is_told_in_one_line(
    started: list[list[str]], capsys: pytest.CaptureFixture[str], words: list[str], said: str
) -> None:
    with pytest.raises(SystemExit) as caught:
        run(*words)
    assert caught.value.code == 2
    assert capsys.readouterr().err.startswith(f"error: {said}")
    assert started == []


def test_what_cannot_be_installed_ends_it(
    started: list[list[str]], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse(layout: Layout) -> Path:
        raise InstallError("DVC could not be installed, see above", 5)

    monkeypatch.setattr(program, "ensure_dvc", refuse)
    assert run("repro") == 5
    assert capsys.readouterr().err == "error: DVC could not be installed, see above\n"
    assert started == []


def test_an_endpoint_without_a_remote_is_told(tmp_path: Path) -> None:
    (tmp_path / ".dvc").mkdir()
    with pytest.raises(RemoteError, match="--endpoint needs --remote"):
        program.init_project(Path("/own/dvc"), tmp_path, endpoint="http://127.0.0.1:9000")


def test_what_dvc_refuses_ends_it(tmp_path: Path) -> None:
    refusing = tmp_path / "dvc"
    refusing.write_text("#!/bin/sh\nexit 253\n")
    refusing.chmod(0o755)
    with pytest.raises(RemoteError, match="dvc init --no-scm failed, see above") as caught:
        program.init_project(refusing, tmp_path)
    assert caught.value.exit_code == 253


def test_check_changes_nothing_where_nothing_is(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HANDFUL_MLFLOW_URI", "http://127.0.0.1:9")
    (tmp_path / "scripts" / "installer").mkdir(parents=True)
    (tmp_path / "scripts" / "installer" / "dvc.txt").write_text("dvc==3.67.1\n")
    before = sorted(tmp_path.rglob("*"))
    assert check(Layout(tmp_path)) == 1
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[:2] for line in lines] == [["broken", "handful"], ["broken", "mlflow"], ["broken", "dvc"]]
    assert sorted(tmp_path.rglob("*")) == before


def test_the_script_says_so_itself(repository: Path) -> None:
    done = subprocess.run(
        [repository / "scripts" / "pipeline.sh", "reproo"], capture_output=True, text=True, check=False, cwd="/"
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "error: there is no command reproo: see scripts/pipeline.sh --help\n"
