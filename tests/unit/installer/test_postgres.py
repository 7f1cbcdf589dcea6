from __future__ import annotations

from pathlib import Path

import pytest

from fakes.checkout import FakeCheckout
from installer import debian, programs


@pytest.fixture(autouse=True)
def _no_postgres(checkout: FakeCheckout, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("basename", "env"):  # What the recording programs themselves need.
        (checkout.path / name).symlink_to(f"/usr/bin/{name}")
    monkeypatch.setenv("PATH", str(checkout.path))
    monkeypatch.setattr(programs, "_DEBIAN_POSTGRES", checkout.root / "postgresql")


def _debians(checkout: FakeCheckout) -> Path:
    folder = checkout.root / "postgresql" / "17" / "bin"
    folder.mkdir(parents=True)
    return folder / "initdb"


def test_the_machines_own_is_used(checkout: FakeCheckout) -> None:
    _debians(checkout).touch()
    checkout.on_path("apt-get")
    programs.ensure_postgres()
    assert checkout.calls == []


def test_apt_installs_it(checkout: FakeCheckout, monkeypatch: pytest.MonkeyPatch) -> None:
    checkout.on_path("apt-get")
    monkeypatch.setattr(debian, "root_prefix", list)
    programs.ensure_postgres()
    assert checkout.calls[-1] == "apt-get -qq install --yes --no-install-recommends postgresql"


@pytest.mark.parametrize("rights", [None, []])
def test_without_it_the_tests_go_on(
    checkout: FakeCheckout, monkeypatch: pytest.MonkeyPatch, rights: list[str] | None, capfd: pytest.CaptureFixture[str]
) -> None:
    checkout.on_path("apt-get", "exit 1")
    monkeypatch.setattr(debian, "root_prefix", lambda: rights)
    programs.ensure_postgres()
    captured = capfd.readouterr()
    assert "no Postgres, so its tests are skipped" in captured.err + captured.out
