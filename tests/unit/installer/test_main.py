from __future__ import annotations

import errno
import os

import pytest

from fakes.checkout import FakeCheckout
from installer import __main__ as program
from installer.layout import Layout


@pytest.fixture(autouse=True)
def _in_the_checkout(checkout: FakeCheckout, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Layout, "of_this_checkout", lambda: checkout.layout)


@pytest.fixture
def steps(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The steps that were taken."""
    taken: list[str] = []
    for step in ("ensure_environment", "ensure_uv", "ensure_packages", "ensure_browser"):
        monkeypatch.setattr(program, step, lambda *words, step=step: taken.append(" ".join([step, *words[1:]])))
    return taken


@pytest.mark.parametrize(
    ("part", "expected"),
    [
        ("tools", ["ensure_environment", "ensure_uv"]),
        ("services", ["ensure_environment", "ensure_packages services"]),
        ("dev", ["ensure_environment", "ensure_packages dev"]),
        ("browser", ["ensure_browser"]),
    ],
)
def test_a_part_has_its_steps(steps: list[str], part: str, expected: list[str]) -> None:
    assert program.main([part]) == 0
    assert steps == expected


def test_a_folder_that_cannot_be_written_is_told(
    steps: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    assert program.main(["services"]) == 6
    assert "cannot be written by this user" in capsys.readouterr().err
    assert steps == []


def test_a_disk_that_fills_up_is_told(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def fill(layout: Layout) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "/some/file")

    monkeypatch.setattr(program, "ensure_environment", fill)
    assert program.main(["services"]) == 6
    assert capsys.readouterr().err == (
        "error: No space left on device (/some/file): check free disk space and permissions\n"
    )


def test_ctrl_c_is_told(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def interrupt(layout: Layout) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(program, "ensure_environment", interrupt)
    assert program.main(["services"]) == 130
    assert "it goes on from here" in capsys.readouterr().err
