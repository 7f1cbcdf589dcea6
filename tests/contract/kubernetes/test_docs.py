"""docs/kubernetes.md: its examples render, and what its commands name is there."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from support.manifests import FOLDER, OVERLAYS, ROOT, of_kind

TEXT = (ROOT / "docs" / "kubernetes.md").read_text(encoding="utf-8")
_BLOCKS = re.findall(r"^```yaml\n# (\S+)\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL)
"""Examples that say what file they are."""
_LINES = [
    line for block in re.findall(r"^```bash\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL) for line in block.splitlines()
]
_LINES += re.findall(r"`((?:kubectl|scripts/deploy)[^`\n]*)`", TEXT)
_KINDS = {"service": "Service", "cronjob": "CronJob", "deployment": "Deployment"}


def _overlays() -> Sequence[dict[str, str]]:
    """Files of an overlay, for each example: those that belong to no overlay go with the one before."""
    found: list[dict[str, str]] = []
    for name, text in _BLOCKS:
        if name == "my-cluster/kustomization.yaml":
            found.append({})
        if name.startswith("my-cluster/"):
            where = found[-1] if name not in found[-1] else dict(found[-1])
            if where is not found[-1]:
                found.append(where)
            where[name] = text
    return found


def test_every_block_says_which_file_it_is() -> None:
    assert len(_BLOCKS) == TEXT.count("```yaml")


@pytest.mark.parametrize("files", _overlays(), ids=lambda files: str(len(files)))
def test_an_example_renders(files: dict[str, str], tmp_path: Path) -> None:
    if shutil.which("kubectl") is None:
        pytest.skip("there is no kubectl: the examples are not rendered")
    shutil.copytree(FOLDER, tmp_path / "deploy" / "kubernetes")
    shutil.copytree(ROOT / "configs" / "monitoring", tmp_path / "configs" / "monitoring")
    own: dict[str, str] = {}
    for name, text in files.items():
        if "name: alertmanager" in text:  # The page says to add this component, before the images.
            main, place = tmp_path / "my-cluster" / "kustomization.yaml", "  - ../deploy/kubernetes/components/"
            before = f"{place}monitoring\n{place}images\n"
            main.write_text(main.read_text().replace(f"{place}images\n", before))
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        for given in re.findall(r"files: \[(.*?)\]", text):
            for file in given.split(", "):
                own[file] = f"mine: {file}"
                (path.parent / file).write_text(own[file], encoding="utf-8")
    done = subprocess.run(
        ["kubectl", "kustomize", str(tmp_path / "my-cluster")], capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode == 0, done.stderr
    documents = list(yaml.safe_load_all(done.stdout))
    maps = {name: text for each in documents if each["kind"] == "ConfigMap" for name, text in each["data"].items()}
    assert {name: maps.get(name) for name in own} == own
    if "POSTGRES_HOST=db.internal" in "".join(files.values()):
        assert maps["POSTGRES_HOST"] == "db.internal"
    for image in re.findall(r"^\s*image: (\S+)$", done.stdout, re.MULTILINE):
        assert re.search(":[\\w.-]+$", image), f"{image} has no version"


def test_the_pod_that_fills_the_images_is_allowed() -> None:
    (pod,) = [yaml.safe_load(text) for name, text in _BLOCKS if name == "fill.yaml"]
    kubernetes_validate.validate(pod, "1.34", strict=True)
    spec: dict[str, Any] = pod["spec"]
    assert spec["securityContext"]["runAsNonRoot"] is True
    assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    (container,) = spec["containers"]
    assert container["securityContext"] == {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}
    claims = of_kind("training", "PersistentVolumeClaim")
    assert spec["volumes"][0]["persistentVolumeClaim"]["claimName"] in claims
    # The user of the trainings, who read it.
    template = of_kind("training", "CronJob")["train"]["spec"]["jobTemplate"]["spec"]["template"]["spec"]
    assert spec["securityContext"]["fsGroup"] == template["securityContext"]["fsGroup"]


def test_what_commands_name_is_there() -> None:
    named = {pair for line in _LINES for pair in re.findall(r"\b(service|cronjob|deployment)[/ ]([a-z-]+)", line)}
    assert len(named) >= 8
    for kind, name in named:
        assert any(name in of_kind(overlay, _KINDS[kind]) for overlay in OVERLAYS), f"{kind}/{name}"
    for line in _LINES:
        for service, port in re.findall(r"port-forward service/([a-z]+) (\d+)", line):
            ports = {each["port"] for each in of_kind("monitoring", "Service")[service]["spec"]["ports"]}
            assert int(port) in ports, line


def test_scripts_deploy_has_the_words() -> None:
    done = subprocess.run([ROOT / "scripts" / "deploy.sh", "--help"], capture_output=True, text=True, check=True)
    known = set(re.findall(r"^ {2}([a-z]+|--[a-z-]+)\b", done.stdout, re.MULTILINE))
    for line in _LINES:
        for words in re.findall(r"scripts/deploy(?:\.sh)?((?: [a-z-]+)[^#|]*)", line):
            command, *options = words.split()
            assert command in known, line
            assert {option for option in options if option.startswith("--")} <= known, line


def test_no_private_place_is_named() -> None:
    assert "../shared" not in TEXT
