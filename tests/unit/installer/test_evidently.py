"""Evidently's own environment."""

from __future__ import annotations

import sys

import pytest

from fakes.checkout import FakeCheckout
from installer import environment, evidently
from installer.__main__ import main
from installer.command import InstallError
from installer.evidently import ensure_evidently, evidently_layout
from installer.layout import Layout


@pytest.fixture
def base(checkout: FakeCheckout, monkeypatch: pytest.MonkeyPatch) -> FakeCheckout:
    """A checkout whose Python makes environments."""
    checkout.environment()
    make = f'mkdir -p "$4/bin" && ln -s {sys.executable} "$4/bin/python" && echo version > "$4/pyvenv.cfg"'
    body = f'case "$*" in *"-m venv"*) {make} ;; esac'
    monkeypatch.setattr(environment, "_base_python", lambda: str(checkout.on_path("base", body)))
    monkeypatch.setattr(evidently, "ensure_uv", lambda layout: None)
    lock = evidently_layout(checkout.layout).evidently_lock
    lock.parent.mkdir(parents=True, exist_ok=True)
    lock.write_text("evidently==0.7.23\n")
    return checkout


def installs(checkout: FakeCheckout) -> list[str]:
    return [call for call in checkout.calls if call.startswith("uv pip install")]


def test_it_is_installed_beside_handful_at_its_locked_version(base: FakeCheckout) -> None:
    before = sorted(base.layout.venv.rglob("*"))
    python = ensure_evidently(base.layout)
    assert python == base.root / ".venv-evidently" / "bin" / "python"
    (call,) = installs(base)
    assert call.endswith(
        f"--python {python} --require-hashes --requirements {base.root / 'scripts' / 'installer' / 'evidently.txt'}"
    )
    assert sorted(base.layout.venv.rglob("*")) == before, "Handful's own environment is left alone"


def test_the_second_time_nothing_is_done(base: FakeCheckout) -> None:
    ensure_evidently(base.layout)
    before = base.calls
    ensure_evidently(base.layout)
    assert base.calls == before


def test_another_lock_installs_again(base: FakeCheckout) -> None:
    ensure_evidently(base.layout)
    evidently_layout(base.layout).evidently_lock.write_text("evidently==0.7.24\n")
    ensure_evidently(base.layout)
    assert len(installs(base)) == 2


def test_a_failure_is_told_and_tried_again(base: FakeCheckout) -> None:
    base.tool("uv", "exit 2")
    with pytest.raises(InstallError, match="Evidently could not be installed, see above") as caught:
        ensure_evidently(base.layout)
    assert caught.value.exit_code == 5
    base.tool("uv")
    ensure_evidently(base.layout)
    assert len(installs(base)) == 2


def test_the_command_of_the_docs_installs_it(base: FakeCheckout, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Layout, "of_this_checkout", classmethod(lambda cls: base.layout))
    assert main(["evidently"]) == 0
    assert len(installs(base)) == 1


def test_the_lock_names_evidently_and_a_pandas_that_it_works_with() -> None:
    lines = Layout.of_this_checkout().evidently_lock.read_text(encoding="utf-8").splitlines()
    pins = dict(line.split("==")[:2] for line in lines if "==" in line and not line.startswith((" ", "#")))
    assert "evidently" in pins
    assert tuple(map(int, pins["pandas"].split(".")[:2])) < (3, 1)
