"""What a run was made with: code, versions, machine."""

from __future__ import annotations

import os
import platform
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from handful_core.vision.cpus import available_cpus

_PACKAGES = (
    *("torch", "torchvision", "ultralytics-opencv-headless", "onnx", "onnxruntime", "opencv-python-headless"),
    *("numpy", "mlflow", "picsellia", "handful-core", "handful-trainer"),
)


def package_versions() -> dict[str, str]:
    """Versions of the packages that a training depends on; a package that is not there is left out."""
    found = {}
    for name in _PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found | {"python": platform.python_version()}


def hardware() -> dict[str, str]:
    """Processor, memory and accelerators."""
    import psutil
    import torch

    gpus = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
    return {
        "cpu": _cpu_name(),
        "cpus": str(available_cpus()),
        "memory_gib": f"{psutil.virtual_memory().total / 2**30:.1f}",
        "gpus": ", ".join(gpus) or "none",
        "system": platform.platform(),
    }


def git_commit() -> str | None:
    """The commit of the code that runs, with `-dirty` where it was changed; None outside a checkout."""
    here = Path(__file__).parent
    head = _git(here, "rev-parse", "HEAD")
    if head is None:
        return None
    return f"{head}-dirty" if _git(here, "status", "--porcelain", "--untracked-files=no") else head


def run_tags() -> dict[str, str]:
    """Tags that MLflow shows for every run: who, from where, with which code."""
    commit = git_commit()
    user = os.environ.get("USER") or os.environ.get("USERNAME") or "unknown"
    tags = {"mlflow.user": user, "mlflow.source.name": "handful train", "mlflow.source.type": "LOCAL"}
    return tags | ({"mlflow.source.git.commit": commit} if commit else {})


def _git(folder: Path, *words: str) -> str | None:
    try:
        result = subprocess.run(
            ["git", "-C", str(folder), *words], capture_output=True, text=True, timeout=10, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return result.stdout.strip()


def _cpu_name() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()
