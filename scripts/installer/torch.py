"""Which build of PyTorch suits this machine."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

from console import print_status
from installer.command import succeeds
from installer.layout import Layout

_FAIL_FAST = {
    "UV_SYSTEM_CERTS": "true",
    "UV_HTTP_RETRIES": "0",
    "UV_HTTP_TIMEOUT": "10",
    "UV_HTTP_CONNECT_TIMEOUT": "5",
}


def has_nvidia_driver() -> bool:
    """Whether an NVIDIA driver runs here."""
    return shutil.which("nvidia-smi") is not None and succeeds(["nvidia-smi"], timeout=20)


def choose_backend(layout: Layout) -> str:
    """The build to install: `cpu`, `auto` (what the driver can run), or empty for the default index's.

    PyTorch keeps its builds in an index of its own, whose address uv knows. Where that does not answer, the default
    index serves: its Linux build is the one for CUDA, which runs on processors too but is large.
    """
    if "UV_TORCH_BACKEND" in os.environ:
        print_status(f"PyTorch: the build {os.environ['UV_TORCH_BACKEND']}, as UV_TORCH_BACKEND says")
        return os.environ["UV_TORCH_BACKEND"]
    if sys.platform == "darwin":  # PyPI's own build is the only one there.
        return ""
    build = "auto" if has_nvidia_driver() else "cpu"
    if _index_has_locked_version(layout, build):
        print_status(
            f"PyTorch: the build for {'the NVIDIA driver' if build == 'auto' else 'CPUs (no NVIDIA driver found)'}"
        )
        return build
    print_status(
        "PyTorch: its own index does not answer; taking the default index's build, which is larger and runs as well"
    )
    return ""


def _index_has_locked_version(layout: Layout, build: str) -> bool:
    """Whether PyTorch's index has the locked version, asked once and not for long.

    What is installed or cached already must not answer in its place.
    """
    ask: list[str | Path] = ["pip", "install", "--dry-run", "--reinstall", "--refresh", "--no-deps"]
    where: list[str | Path] = ["--python", layout.python, "--constraints", layout.constraints]
    command = [layout.tool("uv"), *ask, *where, f"--torch-backend={build}", "torch", "torchvision"]
    return succeeds(command, env={**os.environ, **_FAIL_FAST}, timeout=60)
