"""Digests get into the one file that names images, and the manifests have them."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from compose.errors import ComposeError
from delivery.images import BUILT_BY, NAMES, built_for, with_digests, with_version

_DIGESTS = {name: f"ghcr.io/you/handful/{name}@sha256:{'0123456789abcdef' * 4}" for name in BUILT_BY}


def test_each_image_is_named_by_its_digest(repository: Path, tmp_path: Path) -> None:
    if shutil.which("kubectl") is None:
        pytest.skip("there is no kubectl: the manifests are not rendered")
    for folder in ("deploy/kubernetes", "configs/monitoring"):
        shutil.copytree(repository / folder, tmp_path / folder)
    file = tmp_path / NAMES
    file.write_text(with_digests(with_digests(file.read_text(), _DIGESTS), _DIGESTS))
    overlays = tmp_path / "deploy" / "kubernetes" / "overlays"
    commands = [["kubectl", "kustomize", str(overlays / name)] for name in ("monitoring", "training")]
    text = "".join(subprocess.run(each, capture_output=True, text=True, check=True).stdout for each in commands)
    for reference in _DIGESTS.values():
        assert f"image: {reference}\n" in text
    assert "image: handful/" not in text


@pytest.mark.parametrize(
    ("images", "names"),
    [
        (["handful/serving:1", "docker.io/library/postgres:17-alpine"], ["serving"]),
        (["r.io:5000/a/mlflow@sha256:00", "r.io/backup:2", "r.io/a/mlflow@sha256:00"], ["mlflow", "backup"]),
        (["handful/serving:0.1.0-gpu", "handful/monitor:1"], ["serving", "monitor"]),
    ],
)
def test_only_what_an_overlay_runs_is_built(images: list[str], names: list[str]) -> None:
    assert built_for([{"spec": {"containers": [{"image": image}]}} for image in images]) == names


def test_another_version() -> None:
    images = [
        "handful/serving:1",
        "r.io:5000/a/mlflow:0.1.0",
        "docker.io/library/postgres:17-alpine",
        "handful/serving:1-gpu",
    ]
    changed = with_version([{"image": image} for image in images], "0.2.0")
    assert [each["image"] for each in changed] == [
        "handful/serving:0.2.0",
        "r.io:5000/a/mlflow:0.2.0",
        "docker.io/library/postgres:17-alpine",
        "handful/serving:0.2.0-gpu",
    ]


def test_a_digest_says_what_runs() -> None:
    with pytest.raises(ComposeError, match="names digests"):
        with_version([{"image": _DIGESTS["serving"]}], "0.2.0")
    with pytest.raises(ComposeError, match="no version of images"):
        with_version([], 'x"y')


def test_a_line_that_is_gone_is_told(repository: Path) -> None:
    text = (repository / NAMES).read_text().replace("handful/backup", "handful/other")
    with pytest.raises(ComposeError, match="no line for handful/backup"):
        with_digests(text, _DIGESTS)
