"""Kubernetes' own schemas take every file and every overlay, strictly: no field that they do not know."""

from __future__ import annotations

from pathlib import Path

import kubernetes_validate
import pytest
import yaml

from support.manifests import FOLDER, OVERLAYS, rendered

_VERSIONS = ("1.30", "1.34", "1.37")
"""The oldest that the manifests are for, that of the tests' cluster, and the newest that is known here."""
_FILES = [path for path in sorted(FOLDER.rglob("*.yaml")) if path.name != "kustomization.yaml"]


@pytest.mark.parametrize("path", _FILES, ids=lambda path: str(path.relative_to(FOLDER)))
def test_each_file(path: Path) -> None:
    documents = list(yaml.safe_load_all(path.read_text(encoding="utf-8")))
    assert documents
    for document in documents:
        kubernetes_validate.validate(document, "1.34", strict=True)


@pytest.mark.parametrize("version", _VERSIONS)
@pytest.mark.parametrize("overlay", OVERLAYS)
def test_each_overlay(overlay: str, version: str) -> None:
    for document in rendered(overlay):
        kubernetes_validate.validate(document, version, strict=True)


def test_a_field_that_there_is_not_is_found() -> None:
    service = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "a"}, "spec": {"selektor": {}}}
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(service, "1.34", strict=True)
