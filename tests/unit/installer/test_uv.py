from __future__ import annotations

import pytest

from fakes.checkout import FakeCheckout
from installer.command import InstallError
from installer.packages import ensure_uv


def test_uv_is_installed_at_its_locked_version(checkout: FakeCheckout) -> None:
    checkout.tool("python", 'case "$*" in *importlib*) exit 1 ;; esac')
    ensure_uv(checkout.layout)
    assert checkout.calls[-1].startswith("python -m pip install")
    assert checkout.calls[-1].endswith(f"--require-hashes --requirement {checkout.layout.uv_lock}")


def test_uv_is_left_alone_if_it_is_there(checkout: FakeCheckout) -> None:
    checkout.tool("python")
    ensure_uv(checkout.layout)
    assert [call for call in checkout.calls if " pip " in call] == []


def test_no_network_is_told(checkout: FakeCheckout) -> None:
    checkout.tool("python", "exit 1")
    with pytest.raises(InstallError, match="uv could not be installed, see above: check the network") as caught:
        ensure_uv(checkout.layout)
    assert caught.value.exit_code == 5


def test_a_lock_without_uv_is_told(checkout: FakeCheckout) -> None:
    checkout.layout.uv_lock.write_text("uvicorn==1.0\n")
    with pytest.raises(InstallError, match=r"uv\.txt does not lock uv: run scripts/lock\.sh"):
        ensure_uv(checkout.layout)
