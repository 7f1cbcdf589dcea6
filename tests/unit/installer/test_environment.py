from __future__ import annotations

import subprocess
import sys

import pytest

from fakes.checkout import FakeCheckout
from installer import debian, environment
from installer.command import InstallError
from installer.environment import ensure_environment
from installer.stamp import Stamp


def _made(checkout: FakeCheckout) -> bool:
    return any(call.startswith("base -m venv --clear") for call in checkout.calls)


@pytest.fixture
def base(checkout: FakeCheckout, monkeypatch: pytest.MonkeyPatch) -> FakeCheckout:
    """The Python outside of the environment is a script that can make environments."""
    monkeypatch.setattr(environment, "_base_python", lambda: str(checkout.on_path("base")))
    return checkout


def test_it_is_made_where_there_is_none(base: FakeCheckout) -> None:
    ensure_environment(base.layout)
    assert _made(base)


def test_a_working_one_is_kept(base: FakeCheckout) -> None:
    base.environment()
    ensure_environment(base.layout)
    assert not _made(base)


def test_a_broken_one_is_made_again(base: FakeCheckout, capfd: pytest.CaptureFixture[str]) -> None:
    base.environment()
    base.layout.python.unlink()
    ensure_environment(base.layout)
    assert _made(base)
    assert "it does not work (any more)" in capfd.readouterr().err


def test_one_that_was_moved_is_made_again(base: FakeCheckout) -> None:
    base.environment()
    Stamp("/where/it/was").write(base.layout, {"services": "1"})
    stamp = base.layout.venv / "handful.json"
    stamp.write_text(stamp.read_text().replace(str(base.root), "/where/it/was"))
    ensure_environment(base.layout)
    assert _made(base)


def test_one_that_was_not_moved_is_kept(base: FakeCheckout) -> None:
    base.environment()
    Stamp().write(base.layout, {"services": "1"})
    ensure_environment(base.layout)
    assert not _made(base)


def test_a_python_without_ensurepip_is_told(checkout: FakeCheckout, monkeypatch: pytest.MonkeyPatch) -> None:
    python = checkout.on_path("base", "exit 1")
    monkeypatch.setattr(environment, "_base_python", lambda: str(python))
    monkeypatch.setattr(sys, "base_prefix", "/opt/python")
    with pytest.raises(InstallError, match=r"\(it lacks ensurepip\): install a complete Python") as caught:
        ensure_environment(checkout.layout)
    assert caught.value.exit_code == 6


def test_debians_missing_package_is_installed(checkout: FakeCheckout, monkeypatch: pytest.MonkeyPatch) -> None:
    ready = checkout.root / "ready"
    python = checkout.on_path("base", f"test -e {ready}")
    checkout.on_path("apt-get", f'case "$*" in *install*) touch {ready} ;; esac')
    monkeypatch.setattr(environment, "_base_python", lambda: str(python))
    monkeypatch.setattr(sys, "base_prefix", "/usr")
    monkeypatch.setattr(debian, "root_prefix", list)
    ensure_environment(checkout.layout)
    package = f"python3.{sys.version_info.minor}-venv"
    assert f"apt-get -qq install --yes --no-install-recommends {package}" in checkout.calls
    assert _made(checkout)


def test_a_user_without_rights_is_told_the_command(checkout: FakeCheckout, monkeypatch: pytest.MonkeyPatch) -> None:
    python = checkout.on_path("base", "exit 1")
    checkout.on_path("apt-get")
    checkout.on_path("sudo", "exit 1")
    monkeypatch.setattr(environment, "_base_python", lambda: str(python))
    monkeypatch.setattr(sys, "base_prefix", "/usr")
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    with pytest.raises(InstallError, match=r"run 'sudo apt-get install python3\.\d+-venv', then this again"):
        ensure_environment(checkout.layout)


def test_a_user_with_sudo_installs_with_it(checkout: FakeCheckout, monkeypatch: pytest.MonkeyPatch) -> None:
    checkout.on_path("sudo")
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    assert debian.root_prefix() == ["sudo", "-n"]


def test_a_real_environment_has_pip(checkout: FakeCheckout) -> None:
    ensure_environment(checkout.layout)
    done = subprocess.run(
        [checkout.layout.python, "-m", "pip", "--version"], check=True, capture_output=True, text=True
    )
    assert str(checkout.layout.venv) in done.stdout
