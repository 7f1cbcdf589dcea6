from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from fakes.checkout import FakeCheckout
from installer import debian, programs

_CP = shutil.which("cp")


@pytest.fixture(autouse=True)
def _no_browser(checkout: FakeCheckout, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("basename", "env"):  # What the recording programs themselves need.
        (checkout.path / name).symlink_to(f"/usr/bin/{name}")
    monkeypatch.setenv("PATH", str(checkout.path))
    monkeypatch.setattr(programs, "_MAC_CHROME", Path("/nowhere"))


@pytest.mark.parametrize("name", ["chromium", "google-chrome"])
def test_the_machines_own_browser_is_used(checkout: FakeCheckout, name: str) -> None:
    file = checkout.on_path(name)
    assert programs.ensure_browser(checkout.layout) == str(file)
    assert checkout.calls == []


def test_debian_installs_its_package(checkout: FakeCheckout, monkeypatch: pytest.MonkeyPatch) -> None:
    checkout.on_path("apt-get", f'case "$*" in *install*) {_CP} "$0" {checkout.path}/chromium ;; esac')
    checkout.tool("python", "exit 1")
    monkeypatch.setattr(debian, "is_debian", lambda: True)
    monkeypatch.setattr(debian, "root_prefix", list)
    assert programs.ensure_browser(checkout.layout) == str(checkout.path / "chromium")
    assert checkout.calls[-1] == "apt-get -qq install --yes --no-install-recommends chromium"


@pytest.mark.parametrize(("rights", "words"), [([], "install --with-deps chromium"), (None, "install chromium")])
def test_elsewhere_playwright_fetches_its_own(
    checkout: FakeCheckout, monkeypatch: pytest.MonkeyPatch, rights: list[str] | None, words: str
) -> None:
    fetched = checkout.root / "chrome"
    checkout.on_path("apt-get")
    checkout.tool("playwright", f": > {fetched}")
    checkout.tool("python", f"echo {fetched}")
    monkeypatch.setattr("sys.platform", "linux")
    monkeypatch.setattr(debian, "is_debian", lambda: False)
    monkeypatch.setattr(debian, "root_prefix", lambda: rights)
    assert programs.ensure_browser(checkout.layout) == str(fetched)
    assert [call for call in checkout.calls if call.startswith("playwright")] == [f"playwright {words}"]
    programs.ensure_browser(checkout.layout)
    assert len([call for call in checkout.calls if call.startswith("playwright")]) == 1


def test_without_one_the_tests_go_on(
    checkout: FakeCheckout, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    checkout.tool("playwright", "exit 1")
    checkout.tool("python", "exit 1")
    monkeypatch.setattr(debian, "is_debian", lambda: False)
    assert programs.ensure_browser(checkout.layout) == ""
    assert "no Chromium, so the tests in a browser are skipped" in capfd.readouterr().err
