"""constraints.txt locks what the pyproject files ask for, on every Python and system, and names no index."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from itertools import product
from pathlib import Path

import pytest
from packaging.requirements import Requirement

_PYTHONS = ("3.11", "3.12", "3.13")
_WITH_HASHES = ("uv", "dvc", "evidently")
_SYSTEMS = {
    "linux": {"sys_platform": "linux", "platform_system": "Linux", "os_name": "posix", "platform_machine": "x86_64"},
    "darwin": {"sys_platform": "darwin", "platform_system": "Darwin", "os_name": "posix", "platform_machine": "arm64"},
    "win32": {"sys_platform": "win32", "platform_system": "Windows", "os_name": "nt", "platform_machine": "AMD64"},
}


def _wanted(repository: Path) -> Iterator[str]:
    for project in repository.glob("services/*/pyproject.toml"):
        content = tomllib.loads(project.read_text())
        yield from content["build-system"]["requires"]
        yield from content["project"]["dependencies"]
        for extra in content["project"].get("optional-dependencies", {}).values():
            yield from extra
    for group in tomllib.loads((repository / "pyproject.toml").read_text())["dependency-groups"].values():
        yield from group


def _lines(repository: Path) -> list[str]:
    text = (repository / "constraints.txt").read_text()
    return [line for line in text.splitlines() if not line.startswith("#")]


def _pins(repository: Path, python: str, system: str) -> dict[str, str]:
    """The versions that apply on this Python and system."""
    environment = {
        **_SYSTEMS[system],
        "python_version": python,
        "python_full_version": f"{python}.5",
        "implementation_name": "cpython",
        "platform_python_implementation": "CPython",
    }
    locked = [Requirement(line) for line in _lines(repository)]
    applying = [pin for pin in locked if pin.marker is None or pin.marker.evaluate(environment)]
    pins = {_name(pin.name): str(pin.specifier).removeprefix("==") for pin in applying}
    assert len(pins) == len(applying), "two versions of one package apply"
    return pins


def _name(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


@pytest.mark.parametrize(("python", "system"), list(product(_PYTHONS, _SYSTEMS)))
def test_what_the_projects_ask_for_is_locked(repository: Path, python: str, system: str) -> None:
    pins = _pins(repository, python, system)
    asked = [Requirement(text) for text in _wanted(repository)]
    third_party = [want for want in asked if not want.name.startswith("handful-")]
    assert len(third_party) > 20
    for want in third_party:
        assert _name(want.name) in pins, f"{want} is not locked: run scripts/lock.sh"
        assert want.specifier.contains(pins[_name(want.name)]), f"{want} is locked otherwise: run scripts/lock.sh"


def test_every_line_is_one_exact_version(repository: Path) -> None:
    for line in _lines(repository):
        specifiers = list(Requirement(line).specifier)
        assert [specifier.operator for specifier in specifiers] == ["=="], line
        assert Requirement(line).url is None


def test_no_index_is_named(repository: Path) -> None:
    text = (repository / "constraints.txt").read_text()
    assert not re.search(r"://|--index|--extra|--find-links", text)


def _hashed(file: Path) -> dict[str, set[str]]:
    """The lines of a lock without their hashes, and those."""
    text = "".join(line for line in file.read_text().splitlines(keepends=True) if not line.startswith("#"))
    found: dict[str, set[str]] = {}
    for line in text.replace("\\\n", " ").splitlines():
        words = line.split("    --hash=sha256:")
        found[words[0].strip()] = {word.strip() for word in words[1:]}
    return found


@pytest.mark.parametrize("name", ["constraints.hashed.txt", *(f"scripts/installer/{n}.txt" for n in _WITH_HASHES)])
def test_every_version_has_the_hashes_of_its_files(repository: Path, name: str) -> None:
    found = _hashed(repository / name)
    assert found
    for line, hashes in found.items():
        assert [specifier.operator for specifier in Requirement(line).specifier] == ["=="], line
        assert hashes, f"{line}: run scripts/lock.sh"
        assert all(re.fullmatch("[0-9a-f]{64}", each) for each in hashes), line
    assert not re.search(r"://|--index|--extra|--find-links", (repository / name).read_text())


def test_both_locks_are_of_the_same_versions(repository: Path) -> None:
    found = _hashed(repository / "constraints.hashed.txt")
    assert list(found) == _lines(repository), "run scripts/lock.sh"
    counts = {_name(Requirement(line).name): len(hashes) for line, hashes in found.items()}
    # Linux on two processors, macOS and Windows; torch has a file for each of three Pythons.
    assert counts["torch"] >= 12
    assert counts["torchvision"] >= 4


def test_uv_is_the_same_for_pip(repository: Path) -> None:
    (line,) = _hashed(repository / "scripts" / "installer" / "uv.txt")
    assert line in _lines(repository)


@pytest.mark.parametrize("system", _SYSTEMS)
def test_a_gpu_has_the_same_onnx_runtime(repository: Path, system: str) -> None:
    pins = _pins(repository, "3.12", system)
    assert pins.get("onnxruntime-gpu") == (pins["onnxruntime"] if system == "linux" else None)


def test_what_runs_is_what_is_locked(repository: Path) -> None:
    """CPU and CUDA builds of one version count as the same."""
    import sys
    from importlib.metadata import version

    system = sys.platform if sys.platform in _SYSTEMS else "linux"
    pins = _pins(repository, f"3.{sys.version_info.minor}", system)
    for name in ("mlflow", "torch", "ultralytics-opencv-headless", "onnxruntime", "pytest"):
        assert version(name).partition("+")[0] == pins[name], f"{name}: run scripts/test.sh, which installs it"


def test_dvc_has_a_lock_of_its_own(repository: Path) -> None:
    """Its botocore is older than the backup's: the two cannot be in one environment."""
    locked = map(Requirement, _hashed(repository / "scripts" / "installer" / "dvc.txt"))
    pins = {_name(each.name): str(each.specifier).removeprefix("==") for each in locked}
    assert (pins["dvc"], "dvc-s3" in pins, "setuptools" in pins) == ("3.67.1", True, True)
    assert f"dvc=={pins['dvc']}" in (repository / "scripts" / "lock.sh").read_text()
