from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import zipfile
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
    """Of all but PyTorch, which comes first and by itself."""
    installs = [call for call in checkout.calls if call.startswith("uv pip install") and "--dry-run" not in call]
    return [call for call in installs if "--torch-backend" not in call]


def test_services_are_installed_with_the_locked_versions(checkout: FakeCheckout) -> None:
    checkout.environment()
    packages.ensure_packages(checkout.layout, "services")
    (call,) = _installs(checkout)
    assert f"--python {checkout.layout.python}" in call
    assert f"--constraints {checkout.layout.hashes}" in call
    assert f"--build-constraints {checkout.layout.hashes}" in call
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


@pytest.mark.parametrize(
    "changed", ["constraints.txt", "constraints.hashed.txt", "pyproject.toml", "services/core/pyproject.toml"]
)
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


def test_pytorch_comes_first_from_its_own_index_whose_hashes_are_not_locked(checkout: FakeCheckout) -> None:
    checkout.environment()
    packages.ensure_packages(checkout.layout, "services")
    first, _ = [call for call in checkout.calls if call.startswith("uv pip install") and "--dry-run" not in call]
    locked = f"--no-deps --constraints {checkout.layout.constraints}"
    assert first.endswith(f"{locked} --torch-backend=cpu torch torchvision")


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


def _wheel(folder: Path, name: str, version: str, needs: str = "") -> str:
    """Make a wheel of nothing and return its hash."""
    info, needs = f"{name}-{version}.dist-info", f"Requires-Dist: {needs}\n" if needs else ""
    file = folder / f"{name}-{version}-py3-none-any.whl"
    with zipfile.ZipFile(file, "w") as wheel:
        wheel.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n{needs}")
        wheel.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        wheel.writestr(f"{info}/RECORD", "")
    return hashlib.sha256(file.read_bytes()).hexdigest()


@pytest.fixture
def offline(checkout: FakeCheckout, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeCheckout:
    """A checkout with the real uv, whose tool `grip` needs `palm`, which has a build of PyTorch's kind, too."""
    uv, index = shutil.which("uv", path=str(Path(sys.executable).parent)), tmp_path / "index"
    assert uv, "it is one of the project's tools"
    subprocess.run([uv, "venv", "--quiet", "--python", sys.executable, checkout.layout.venv], check=True)
    checkout.layout.tool("uv").symlink_to(uv)
    shutil.rmtree(checkout.root / "services")
    (checkout.root / "pyproject.toml").write_text('[dependency-groups]\ndev = ["grip"]\n')
    index.mkdir()
    hashes = {name: _wheel(index, name, "1.0", needs) for name, needs in (("grip", "palm"), ("palm", ""))}
    lines = [f"{name}==1.0 --hash=sha256:{digest}\n" for name, digest in hashes.items()]
    checkout.layout.hashes.write_text("".join(lines))
    for name, value in {"NO_INDEX": "1", "FIND_LINKS": str(index), "CACHE_DIR": str(tmp_path / "uv")}.items():
        monkeypatch.setenv(f"UV_{name}", value)
    return checkout


def _install_all(checkout: FakeCheckout) -> subprocess.CompletedProcess[str]:
    (command,) = packages._commands(checkout.layout, "dev", "")
    return subprocess.run([*map(str, command)], capture_output=True, text=True, check=False)


def test_a_file_that_was_changed_is_not_installed(offline: FakeCheckout) -> None:
    text = offline.layout.hashes.read_text()
    offline.layout.hashes.write_text(
        text.replace(f"palm==1.0 --hash=sha256:{text[-65:-1]}", f"palm==1.0 --hash=sha256:{0:064}")
    )
    done = _install_all(offline)
    assert done.returncode != 0
    assert "palm==1.0" in done.stderr, "what nobody asked for by name is compared, too"
    assert "Hash mismatch" in done.stderr
    assert not list(offline.layout.venv.rglob("grip*"))
    offline.layout.hashes.write_text(text)
    assert _install_all(offline).returncode == 0


def test_a_build_of_another_index_stays(offline: FakeCheckout) -> None:
    _wheel(Path(os.environ["UV_FIND_LINKS"]), "palm", "1.0+cpu")
    uv = offline.layout.tool("uv")
    first = [uv, "pip", "install", "--quiet", "--python", offline.layout.python, "palm==1.0+cpu"]
    subprocess.run(first, check=True)
    done = _install_all(offline)
    assert done.returncode == 0, done.stderr
    assert list(offline.layout.venv.rglob("palm-1.0+cpu.dist-info"))
