"""The images: built by Compose, pushed to a registry, and named by digest in one file of the manifests."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from compose.docker import DockerCli, run_attached
from compose.errors import CONFIG, FAILED, ComposeError
from console import print_status
from delivery.kubectl import Manifest

NAMES = "deploy/kubernetes/components/images/kustomization.yaml"
"""The file that names them."""
BUILT_BY = {
    "serving": "serving",
    "mlflow": "mlflow",
    "dashboard": "dashboard",
    "backup": "starter",
    "monitor": "monitor",
    "trainer": "trainer",
}
"""Image to the Compose service that builds it."""


def built_for(manifests: Iterable[Manifest]) -> list[str]:
    """Which of our images an overlay runs."""
    named = set(re.findall(r'"image": "(?:[^"]*/)?([a-z]+)[:@]', json.dumps(list(manifests))))
    return [name for name in BUILT_BY if name in named]


def with_version(manifests: Iterable[Manifest], version: str) -> list[Manifest]:
    """The same with another version of our images.

    Args:
        manifests: the rendered overlay.
        version: a tag, such as 0.2.0.

    Raises:
        ComposeError: the images are named by digest, which says what runs.
    """
    if not re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}", version):
        raise ComposeError(f"{version!r} is no version of images: write it like 0.2.0", CONFIG)
    ours = "|".join(BUILT_BY)
    text = json.dumps(list(manifests))
    if re.search(rf'"image": "[^"]*/(?:{ours})@', text):
        raise ComposeError(f"{NAMES} names digests: leave the version out, or name tags there", CONFIG)
    found = re.sub(rf'("image": "[^"]*/(?:{ours})):[^"]*?(-gpu)?"', rf'\g<1>:{version}\g<2>"', text)
    changed: list[Manifest] = json.loads(found)
    return changed


def build(root: Path, names: Sequence[str], registry: str = "", tag: str = "") -> None:
    """Build images; with a registry also push them, and write their digests into the manifests.

    Args:
        root: the checkout.
        names: of the images.
        registry: such as ghcr.io/you/handful; nothing is pushed if empty.
        tag: what they are called there; as Compose calls them if empty.

    Raises:
        ComposeError: Docker is away, or a build or a push fails. Then no file was changed.
    """
    docker = DockerCli(root)
    docker.require()
    services = docker.config()["services"]
    docker.build(*(BUILT_BY[name] for name in names))
    if not registry:
        built = ", ".join(services[BUILT_BY[name]]["image"] for name in names)
        print_status(f"built {built}: bring them to your cluster, or push them with --registry")
        return
    digests = {}
    for name in names:
        local = services[BUILT_BY[name]]["image"]
        target = f"{registry.rstrip('/')}/{name}:{tag or local.rpartition(':')[2]}"
        for words in (["tag", local, target], ["push", "--quiet", target]):
            if run_attached(["docker", *words], root, on_stderr=True):
                raise ComposeError(f"docker {' '.join(words)} failed, see above: {NAMES} is as before", FAILED)
        # compose.gpu.yml gives serving's image another tag, and the manifests another name.
        digests[f"{name}-gpu" if local.endswith("-gpu") else name] = _digest(target)
    path = root / NAMES
    path.write_text(with_digests(path.read_text(encoding="utf-8"), digests), encoding="utf-8", newline="\n")
    print_status(f"pushed {len(digests)} images, and wrote their digests into {NAMES}: commit it")


def with_digests(text: str, digests: Mapping[str, str]) -> str:
    """The file with other names.

    Args:
        text: as it is.
        digests: image to repository@digest.
    """
    for name, found in digests.items():
        repository, _, digest = found.partition("@")
        line = f"  - {{name: handful/{name}, newName: {repository}, digest: {digest}}}"
        text, count = re.subn(rf"^  - \{{name: handful/{name}, .*\}}$", line, text, flags=re.MULTILINE)
        if count != 1:
            raise ComposeError(f"{NAMES} has no line for handful/{name}: bring it back", FAILED)
    return text


def _digest(image: str) -> str:
    """repository@digest of an image that was pushed."""
    command = ["docker", "image", "inspect", "--format", "{{json .RepoDigests}}", image]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    repository = image.rpartition(":")[0]
    found = [each for each in json.loads(done.stdout or "[]") if each.startswith(f"{repository}@")]
    if not found:
        raise ComposeError(f"Docker knows no digest of {image}: {NAMES} is as before", FAILED)
    return str(found[0])
