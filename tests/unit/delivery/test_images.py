"""Digests get into the one file that names images, and the manifests have them."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from compose.errors import ComposeError
from delivery.images import BUILT_BY, NAMES, with_digests

_DIGESTS = {name: f"ghcr.io/you/handful/{name}@sha256:{'0123456789abcdef' * 4}" for name in BUILT_BY}


def test_each_image_is_named_by_its_digest(repository: Path, tmp_path: Path) -> None:
    if shutil.which("kubectl") is None:
        pytest.skip("there is no kubectl: the manifests are not rendered")
    copy = tmp_path / "kubernetes"
    shutil.copytree(repository / "deploy" / "kubernetes", copy)
    file = copy.parent / Path(NAMES).relative_to("deploy")
    file.write_text(with_digests(with_digests(file.read_text(), _DIGESTS), _DIGESTS))
    command = ["kubectl", "kustomize", str(copy / "overlays" / "single")]
    text = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    for reference in _DIGESTS.values():
        assert f"image: {reference}\n" in text
    assert "image: handful/" not in text


def test_a_line_that_is_gone_is_told(repository: Path) -> None:
    text = (repository / NAMES).read_text().replace("handful/backup", "handful/other")
    with pytest.raises(ComposeError, match="no line for handful/backup"):
        with_digests(text, _DIGESTS)
