"""The Job `pipeline` of deploy/kubernetes: its script in a volume, with a real DVC, a real MLflow and drawn leaves."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import cv2
import pytest
import yaml

from handful_core.registry import Registry
from installer.dvc import ensure_dvc
from installer.layout import Layout
from support.dvc_project import SETTINGS, STAGES
from support.mlflow_server import MlflowServer
from support.small_leaves import COLOURS, leaf

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]


@pytest.fixture
def server(tmp_path: Path) -> Iterator[MlflowServer]:
    made = MlflowServer(tmp_path / "mlflow").start()
    yield made
    made.stop()


def _pod(volume: Path, files: Path, mlflow: str, path: str) -> subprocess.CompletedProcess[str]:
    """What the Job runs, with the variables of its manifest."""
    variables = {
        "PATH": path,
        "HOME": str(volume.parent),
        "HANDFUL_MLFLOW_URI": mlflow,
        "HANDFUL_HOME": str(volume / "var"),
    }
    variables |= {"PIPELINE_REMOTE": str(volume.parent / "remote"), "PIPELINE_ENDPOINT": ""}
    variables |= {name: os.environ[name] for name in ("PYTHONPATH", "OMP_NUM_THREADS") if name in os.environ}
    command = ["sh", str(files / "run.sh")]
    return subprocess.run(command, cwd=volume, env=variables, capture_output=True, text=True, check=False, timeout=900)


def test_the_job_makes_a_version_and_then_has_nothing_to_do(
    repository: Path, tmp_path: Path, server: MlflowServer
) -> None:
    volume, files = tmp_path / "pipeline", tmp_path / "files"
    files.mkdir()
    source = repository / "deploy" / "kubernetes" / "components" / "training"
    for name, copied in {"run.sh": "pipeline.sh", "dvc.yaml": "dvc.yml", "dvcignore": "dvcignore"}.items():
        shutil.copy(source / copied, files / name)
    (files / "leaves.yaml").write_text(yaml.safe_dump(SETTINGS), encoding="utf-8")
    for seed in range(36):
        name = list(COLOURS)[seed % 3]
        folder = volume / "data" / "leaves" / name
        folder.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(folder / f"{seed}.png"), leaf(name, seed))
    (tmp_path / "remote").mkdir()

    without = _pod(volume, files, server.uri, "/usr/bin:/bin")
    assert (without.returncode, without.stderr.count("\n")) == (6, 1)
    assert "build it with TRAINER_EXTRAS=dvc" in without.stderr

    path = f"{Path(sys.executable).parent}:{ensure_dvc(Layout(repository)).parent}:/usr/bin:/bin"
    first = _pod(volume, files, server.uri, path)
    assert first.returncode == 0, first.stderr
    assert [stage for stage in STAGES if f"Running stage '{stage}'" in first.stdout] == STAGES
    with Registry(server.uri) as registry:
        assert [version.version for version in registry.versions("leaves")] == [1]
    assert list((tmp_path / "remote").rglob("*")), "what the stages made was pushed"

    (volume / ".dvc" / "tmp" / "rwlock").write_text("left by a pod that was killed")
    again = _pod(volume, files, server.uri, path)
    assert again.returncode == 0, again.stderr
    assert "Running stage" not in again.stdout
    with Registry(server.uri) as registry:
        assert len(registry.versions("leaves")) == 1
