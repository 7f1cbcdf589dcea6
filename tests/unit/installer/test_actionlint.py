"""actionlint, which lints the workflows."""

from __future__ import annotations

from pathlib import Path

import pytest

from installer import programs
from installer.layout import Layout


def _fake_go(folder: Path, code: int) -> None:
    go = folder / "go"
    go.write_text(f'#!/bin/sh\necho "$@" "$GOBIN" > "{folder}/asked"\nexit {code}\n', encoding="utf-8")
    go.chmod(0o755)


@pytest.mark.parametrize(("code", "said"), [(0, ""), (1, "no actionlint, so the workflows are not linted: see above")])
def test_go_builds_it_into_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], code: int, said: str
) -> None:
    _fake_go(tmp_path, code)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    layout = Layout(tmp_path / "checkout")
    programs.ensure_actionlint(layout)
    asked = (tmp_path / "asked").read_text(encoding="utf-8").split()
    assert asked == ["install", "github.com/rhysd/actionlint/cmd/actionlint@v1.7.12", str(layout.python.parent)]
    assert said in capsys.readouterr().err


def test_without_go_it_says_what_is_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    programs.ensure_actionlint(Layout(tmp_path))
    assert "no actionlint, so the workflows are not linted: install Go" in capsys.readouterr().err
