"""The packages in the virtual environment: uv, the services and the tools, at their locked versions."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

from console import print_status
from installer.command import RESOURCE, UNAVAILABLE, InstallError, run_command, succeeds
from installer.layout import Layout
from installer.stamp import Stamp, fingerprint
from installer.torch import choose_backend

_GIB = 1 << 30
_BYTES = 3 * _GIB
_BYTES_WITH_CUDA = 8 * _GIB


def ensure_uv(layout: Layout) -> None:
    """Install uv, which resolves and downloads many times faster than pip, at its locked version."""
    locked = re.search(r"^uv==(\S+)", layout.uv_lock.read_text(encoding="utf-8"), re.MULTILINE)
    if locked is None:
        raise InstallError(f"{layout.uv_lock.name} does not lock uv: run scripts/lock.sh", RESOURCE)
    if succeeds(
        [layout.python, "-c", f"from importlib.metadata import version; assert version('uv') == {locked[1]!r}"]
    ):
        return
    print_status("installing uv")
    pip: list[str | Path] = [layout.python, "-m", "pip", "install", "--disable-pip-version-check", "--retries", "2"]
    failure = InstallError("uv could not be installed, see above: check the network and run this again", UNAVAILABLE)
    run_command([*pip, "--require-hashes", "--requirement", layout.uv_lock], failure)


def ensure_packages(layout: Layout, part: str) -> None:
    """Install the services, and with the part `dev` the tools that check and test them, unless they are there.

    Raises:
        InstallError: there is too little room, or the packages cannot be fetched.
    """
    current = fingerprint(layout)
    stamp = Stamp.read(layout)
    if stamp.parts.get(part) == current:
        return
    ensure_uv(layout)
    backend = choose_backend(layout)
    if not stamp.parts:
        _check_disk(layout, backend)
    started = time.monotonic()
    print_status("installing the packages; the first time this takes some minutes")
    failure = InstallError(
        "the packages could not be installed, see above: once that is mended, run this again, it goes on from here",
        UNAVAILABLE,
    )
    for command in _commands(layout, part, backend):
        run_command(command, failure, env=uv_environment())
    # Whoever has `dev` has the services as well: they are installed together.
    stamp.write(layout, {"services": current, part: current})
    print_status(f"installed in {time.monotonic() - started:.0f} s")


def _commands(layout: Layout, part: str, backend: str) -> Iterator[list[str | Path]]:
    """PyTorch by itself, where it comes from its own index; then all others, each compared with its locked hashes.

    That index has builds of its own (2.15.0+cpu). Their hashes are not locked, and uv would compare them with those of
    the default index's build. What is installed already is not compared.
    """
    # Compiled once here: where Python may not write beside its packages, each process would compile them anew.
    install: list[str | Path] = [layout.tool("uv"), "pip", "install", "--python", layout.python, "--compile-bytecode"]
    if backend:
        versions: list[str | Path] = ["--no-deps", "--constraints", layout.constraints]
        yield [*install, *versions, f"--torch-backend={backend}", "torch", "torchvision"]
    locked: list[str | Path] = ["--constraints", layout.hashes, "--build-constraints", layout.hashes]
    services = [argument for service in layout.services for argument in ("--editable", _with_extras(service))]
    tools: list[str | Path] = ["--group", f"{layout.root / 'pyproject.toml'}:dev"] if part == "dev" else []
    yield [*install, *locked, *tools, *services]


_EXTRAS = {"core": "batch", "trainer": "lite0"}
"""What a service gets besides: Parquet, which MLflow needs anyway, and what a classifier's training begins with."""


def _with_extras(service: Path) -> str:
    """A service as uv wants it named."""
    return f"{service}[{_EXTRAS[service.name]}]" if service.name in _EXTRAS else str(service)


def uv_environment() -> Mapping[str, str]:
    """The environment, in which uv does as pip: it uses pip's index and trusts what the system trusts."""
    index = os.environ.get("PIP_INDEX_URL")
    return {"UV_SYSTEM_CERTS": "true", **({"UV_DEFAULT_INDEX": index} if index else {}), **os.environ}


def _check_disk(layout: Layout, backend: str) -> None:
    """Refuse to fill the disk, where the environment lies and where uv keeps what it downloaded."""
    needed = _BYTES_WITH_CUDA if backend != "cpu" and sys.platform == "linux" else _BYTES
    cache = subprocess.run([layout.tool("uv"), "cache", "dir"], capture_output=True, text=True, check=False).stdout
    for folder in {layout.root, _existing(Path(cache.strip() or layout.root))}:
        free = shutil.disk_usage(folder).free
        if free < needed:
            raise InstallError(
                f"{folder} has {free / _GIB:.1f} GB free and the installation needs {needed / _GIB:.0f} GB: make room",
                RESOURCE,
            )


def _existing(folder: Path) -> Path:
    return next(path for path in (folder, *folder.parents) if path.exists())
