"""DVC's own environment."""

from __future__ import annotations

import sys

import pytest

from fakes.checkout import FakeCheckout
from installer import dvc, environment
from installer.command import InstallError
from installer.dvc import dvc_layout, ensure_dvc, has_dvc


@pytest.fixture
def base(checkout: FakeCheckout, monkeypatch: pytest.MonkeyPatch) -> FakeCheckout:
    """A checkout whose Python makes environments, and whose uv installs a program `dvc`."""
    checkout.environment()
    own = dvc_layout(checkout.layout)
    make = f'mkdir -p "$4/bin" && ln -s {sys.executable} "$4/bin/python" && echo version > "$4/pyvenv.cfg"'
    body = f'case "$*" in *"-m venv"*) {make} ;; esac'
    monkeypatch.setattr(environment, "_base_python", lambda: str(checkout.on_path("base", body)))
    monkeypatch.setattr(dvc, "ensure_uv", lambda layout: None)
    own.dvc_lock.parent.mkdir(parents=True, exist_ok=True)
    own.dvc_lock.write_text("dvc==3.67.1\n")
    checkout.tool("uv", f"touch {own.tool('dvc')}")
    return checkout


def installs(checkout: FakeCheckout) -> list[str]:
    return [call for call in checkout.calls if call.startswith("uv pip install")]


def test_it_is_installed_beside_handful_at_its_locked_version(base: FakeCheckout) -> None:
    assert not has_dvc(base.layout)
    program = ensure_dvc(base.layout)
    assert program == base.root / ".venv-dvc" / "bin" / "dvc"
    (call,) = installs(base)
    lock = base.root / "scripts" / "installer" / "dvc.txt"
    assert f"--python {program.parent / 'python'}" in call
    assert call.endswith(f"--build-constraints {lock} --require-hashes --requirements {lock}")
    assert has_dvc(base.layout)


def test_the_second_time_nothing_is_done(base: FakeCheckout) -> None:
    ensure_dvc(base.layout)
    before = base.calls
    ensure_dvc(base.layout)
    assert base.calls == before


def test_another_lock_or_a_program_that_is_gone_installs_again(base: FakeCheckout) -> None:
    program, own = ensure_dvc(base.layout), dvc_layout(base.layout)
    own.dvc_lock.write_text("dvc==3.68.0\n")
    assert not has_dvc(base.layout)
    ensure_dvc(base.layout)
    assert len(installs(base)) == 2
    program.unlink()
    ensure_dvc(base.layout)
    assert len(installs(base)) == 3


def test_a_failure_is_told_and_tried_again(base: FakeCheckout) -> None:
    base.tool("uv", "exit 2")
    with pytest.raises(InstallError, match="DVC could not be installed, see above") as caught:
        ensure_dvc(base.layout)
    assert caught.value.exit_code == 5
    assert not has_dvc(base.layout)


def test_handful_s_own_environment_is_left_alone(base: FakeCheckout) -> None:
    before = sorted(base.layout.venv.rglob("*"))
    ensure_dvc(base.layout)
    assert sorted(base.layout.venv.rglob("*")) == before
