from __future__ import annotations

import sys
from pathlib import Path

import pytest

from fakes.checkout import FakeCheckout
from installer import debian, programs

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="batch files run in Wine on Linux alone")


@pytest.fixture(autouse=True)
def _no_wine(checkout: FakeCheckout, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("basename", "env"):  # What the recording programs themselves need.
        (checkout.path / name).symlink_to(Path("/usr/bin") / name)
    monkeypatch.setenv("PATH", str(checkout.path))


def test_the_machines_own_is_used(checkout: FakeCheckout) -> None:
    checkout.on_path("apt-get")
    checkout.on_path("wine")
    programs.ensure_wine()
    assert checkout.calls == []


def test_apt_installs_it(checkout: FakeCheckout, monkeypatch: pytest.MonkeyPatch) -> None:
    checkout.on_path("apt-get")
    monkeypatch.setattr(debian, "root_prefix", list)
    programs.ensure_wine()
    assert checkout.calls[-1] == "apt-get -qq install --yes --no-install-recommends wine"


@pytest.mark.parametrize("rights", [None, []])
def test_without_it_the_tests_go_on(
    checkout: FakeCheckout, monkeypatch: pytest.MonkeyPatch, rights: list[str] | None, capfd: pytest.CaptureFixture[str]
) -> None:
    checkout.on_path("apt-get", "exit 1")
    monkeypatch.setattr(debian, "root_prefix", lambda: rights)
    programs.ensure_wine()
    captured = capfd.readouterr()
    assert "no Wine, so the batch files are read, not run" in captured.err + captured.out
