"""The overlays of deploy/kubernetes as kubectl renders them, and what pods are in them."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "deploy" / "kubernetes"
OVERLAYS = tuple(sorted(path.name for path in (FOLDER / "overlays").iterdir()))
Manifest = Mapping[str, Any]


@cache
def rendered(overlay: str) -> Sequence[Manifest]:
    """The objects of an overlay. It needs kubectl and no cluster."""
    if shutil.which("kubectl") is None:
        pytest.skip("there is no kubectl: the manifests are not rendered")
    command = ["kubectl", "kustomize", str(FOLDER / "overlays" / overlay)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
    return list(yaml.safe_load_all(done.stdout))


def of_kind(overlay: str, kind: str) -> dict[str, Any]:
    """The objects of a kind, by name."""
    return {each["metadata"]["name"]: each for each in rendered(overlay) if each["kind"] == kind}


def pods(overlay: str) -> Iterator[tuple[str, Any]]:
    """Name and template of everything that makes pods."""
    for each in rendered(overlay):
        spec = each.get("spec", {})
        spec = spec["jobTemplate"]["spec"] if each["kind"] == "CronJob" else spec
        if "template" in spec:
            yield each["metadata"]["name"], spec["template"]


def containers(template: Any) -> Iterator[Any]:
    """All containers of a pod, those before the others too."""
    yield from template["spec"].get("initContainers", ())
    yield from template["spec"]["containers"]


def environment(overlay: str, container: Any) -> dict[str, str]:
    """What a container gets, from ConfigMaps and of its own."""
    maps = of_kind(overlay, "ConfigMap")
    found: dict[str, str] = {}
    for source in container.get("envFrom", ()):
        found |= maps[source["configMapRef"]["name"]]["data"]
    return found | {each["name"]: each.get("value", "") for each in container.get("env", ())}
