from __future__ import annotations

import shutil
from collections import namedtuple
from pathlib import Path

import pytest

from fakes.checkout import FakeCheckout
from installer import packages
from installer.command import InstallError
from installer.stamp import Stamp

_Usage = namedtuple("_Usage", "total used free")


@pytest.fixture(autouse=True)
def _uv_is_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packages, "ensure_uv", lambda layout: None)


def _installs(checkout: FakeCheckout) -> list[str]:
    return [call for call in checkout.calls if call.startswith("uv pip install") and "--dry-run" not in call]


def test_services_are_installed_with_the_locked_versions(checkout: FakeCheckout) -> None:
    checkout.environment()
    packages.ensure_packages(checkout.layout, "services")
    (call,) = _installs(checkout)
    assert f"--python {checkout.layout.python}" in call
    assert f"--constraints {checkout.layout.constraints}" in call
    assert f"--build-constraints {checkout.layout.constraints}" in call
    assert call.endswith(f"--editable {checkout.root / 'services' / 'core'}[batch]")
    assert ":dev" not in call


def test_the_second_run_does_nothing(checkout: FakeCheckout) -> None:
    checkout.environment()
    packages.ensure_packages(checkout.layout, "services")
    before = checkout.calls
    packages.ensure_packages(checkout.layout, "services")
    assert checkout.calls == before


def test_the_tools_bring_the_services_along(checkout: FakeCheckout) -> None:
    checkout.environment()
    packages.ensure_packages(checkout.layout, "dev")
    assert "pyproject.toml:dev" in _installs(checkout)[0]
    packages.ensure_packages(checkout.layout, "services")
    assert len(_installs(checkout)) == 1


def test_the_services_do_not_bring_the_tools_along(checkout: FakeCheckout) -> None:
    checkout.environment()
    packages.ensure_packages(checkout.layout, "services")
    packages.ensure_packages(checkout.layout, "dev")
    assert len(_installs(checkout)) == 2


@pytest.mark.parametrize("changed", ["constraints.txt", "pyproject.toml", "services/core/pyproject.toml"])
def test_a_change_installs_again(checkout: FakeCheckout, changed: str) -> None:
    checkout.environment()
    packages.ensure_packages(checkout.layout, "services")
    with (checkout.root / changed).open("a") as file:
        file.write("# changed\n")
    packages.ensure_packages(checkout.layout, "services")
    assert len(_installs(checkout)) == 2


def test_a_new_service_installs_again(checkout: FakeCheckout) -> None:
    checkout.environment()
    packages.ensure_packages(checkout.layout, "services")
    shutil.copytree(checkout.root / "services" / "core", checkout.root / "services" / "backup")
    packages.ensure_packages(checkout.layout, "services")
    assert f"--editable {checkout.root / 'services' / 'backup'}" in _installs(checkout)[1]


def test_a_failure_is_told_and_tried_again(checkout: FakeCheckout) -> None:
    checkout.environment()
    checkout.tool("uv", "exit 2")
    with pytest.raises(InstallError, match="could not be installed, see above") as caught:
        packages.ensure_packages(checkout.layout, "services")
    assert caught.value.exit_code == 5
    assert Stamp.read(checkout.layout).parts == {}


@pytest.mark.parametrize(("answers", "needed"), [("exit 0", "3 GB"), ("exit 1", "8 GB")])
def test_a_full_disk_is_told_before_anything_is_installed(
    checkout: FakeCheckout, monkeypatch: pytest.MonkeyPatch, answers: str, needed: str
) -> None:
    checkout.environment()
    checkout.tool("uv", f'case "$*" in *--dry-run*) {answers} ;; esac')
    monkeypatch.setattr(shutil, "disk_usage", lambda path: _Usage(100 << 30, 98 << 30, 2 << 30))
    with pytest.raises(InstallError, match=f"has 2.0 GB free and the installation needs {needed}: make room") as caught:
        packages.ensure_packages(checkout.layout, "services")
    assert caught.value.exit_code == 6
    assert _installs(checkout) == []


def test_the_disk_of_uvs_cache_counts_too(
    checkout: FakeCheckout, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    checkout.environment()
    cache = tmp_path / "cache"
    cache.mkdir()
    checkout.tool("uv", f'if [ "$*" = "cache dir" ]; then echo {cache / "not" / "there" / "yet"}; fi')
    free = {cache: 1 << 30, checkout.root: 90 << 30}
    monkeypatch.setattr(shutil, "disk_usage", lambda path: _Usage(100 << 30, 0, free[path]))
    with pytest.raises(InstallError, match=f"{cache} has 1.0 GB free"):
        packages.ensure_packages(checkout.layout, "services")


def test_pips_index_is_uvs_index(checkout: FakeCheckout, monkeypatch: pytest.MonkeyPatch) -> None:
    checkout.environment()
    checkout.tool("uv", f'printf "%s" "$UV_DEFAULT_INDEX" > {checkout.root / "index"}')
    monkeypatch.setenv("PIP_INDEX_URL", "https://packages.example/simple")
    packages.ensure_packages(checkout.layout, "services")
    assert (checkout.root / "index").read_text() == "https://packages.example/simple"
