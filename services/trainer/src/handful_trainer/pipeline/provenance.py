"""What a run was made with: code, versions, machine."""

from __future__ import annotations

import json
import os
import platform
import re
import shutil
import subprocess
from importlib.metadata import PackageNotFoundError, distributions, version
from pathlib import Path

from packaging.requirements import Requirement

from handful_core.runtime.cpus import available_cpus, processor_name
from handful_faces import blurred_page
from handful_trainer.dataset.prepared import PreparedDataset
from handful_trainer.dataset.report.page import PAGE
from handful_trainer.tasks.engine import Engine

_MAX_DIGEST = 36
"""Characters that MLflow keeps of a dataset's digest."""
_PACKAGES = (
    "onnx",
    "onnxruntime",
    "opencv-python-headless",
    "numpy",
    "mlflow",
    "picsellia",
    "handful-core",
    "handful-trainer",
)


def package_versions(engine: Engine) -> dict[str, str]:
    """Versions of the packages that a training depends on; a package that is not there is left out.

    Args:
        engine: what trains; it knows what else it depends on.
    """
    found = {}
    for name in (*engine.packages, *_PACKAGES):
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
        "cpu": processor_name(),
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
    commit = head.decode().strip()
    return f"{commit}-dirty" if _git(here, "status", "--porcelain", "--untracked-files=no") else commit


def git_changes() -> bytes:
    """What was changed in the checkout since its commit, as a diff; empty where nothing was, or outside a checkout.

    In bytes, as git gives it: files may be in any encoding, and a patch ends with its last line's newline.
    """
    return _git(Path(__file__).parent, "diff", "HEAD") or b""


def environment() -> str:
    """All installed packages at their versions, as pip's requirements."""
    found = {(dist.name, dist.version) for dist in distributions()}
    return "".join(f"{name}=={number}\n" for name, number in sorted(found, key=lambda pair: pair[0].lower()))


def write_environment(folder: Path) -> Path:
    """Write what a training ran with into `folder`: packages.txt, and changes.diff where the checkout was changed."""
    folder.mkdir(exist_ok=True)
    (folder / "packages.txt").write_text(environment(), encoding="utf-8")
    if changes := git_changes():
        (folder / "changes.diff").write_bytes(changes)
    return folder


def write_report(dataset: PreparedDataset, folder: Path) -> Path:
    """Write what a training logs of a dataset into `folder`: its report, and its page with faces blurred.

    Raises:
        BlurError: faces could not be looked for.
    """
    folder.mkdir(exist_ok=True)
    numbers, page = dataset.root / "report.json", dataset.root / PAGE
    if numbers.is_file():
        shutil.copyfile(numbers, folder / numbers.name)
    if page.is_file():
        (folder / PAGE).write_text(blurred_page(page.read_text(encoding="utf-8")), encoding="utf-8", newline="\n")
    return folder


def lock_state() -> str:
    """Whether what is installed is what the checkout's constraints.txt locks."""
    lock = Path(__file__).parents[4] / "constraints.txt"
    if not lock.is_file():
        return "no lock file here"
    wanted = [Requirement(line) for line in lock.read_text(encoding="utf-8").splitlines() if "==" in line]
    locked = {w.name: str(w.specifier)[2:] for w in wanted if w.marker is None or w.marker.evaluate()}
    others = [
        f"{name} {found} instead of {locked[name]}"
        for name, found in sorted((_plain(dist.name), dist.version) for dist in distributions())
        if name in locked and found.partition("+")[0] != locked[name].partition("+")[0]
    ]
    return "as locked" if not others else f"{len(others)} differ: {', '.join(others)}"


def _plain(name: str) -> str:
    """A distribution's name as lock files write it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def run_tags() -> dict[str, str]:
    """Tags that MLflow shows for every run: who, from where, with which code."""
    commit = git_commit()
    user = os.environ.get("USER") or os.environ.get("USERNAME") or "unknown"
    tags = {"mlflow.user": user, "mlflow.source.name": "handful train", "mlflow.source.type": "LOCAL"}
    tags["lock"] = lock_state()
    return tags | ({"mlflow.source.git.commit": commit} if commit else {})


def _git(folder: Path, *words: str) -> bytes | None:
    try:
        result = subprocess.run(["git", "-C", str(folder), *words], capture_output=True, timeout=10, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return result.stdout


def dataset_record(dataset: PreparedDataset) -> dict[str, str]:
    """A prepared dataset as MLflow's dataset input: name, digest, source, schema and profile."""
    return {
        "name": dataset.name,
        "digest": dataset.fingerprint[:_MAX_DIGEST],
        "source_type": "local",
        "source": json.dumps({"uri": dataset.root.resolve().as_uri()}),
        "schema": json.dumps({"classes": list(dataset.classes), "task": dataset.task.name}),
        "profile": json.dumps({"images": dict(dataset.split_sizes)}),
    }
