"""Handful on a real Kubernetes, delivered by scripts/deploy. Run when asked for: `scripts/test.sh --cluster`."""

from __future__ import annotations

import json
import os
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.cluster import LAUNCHER, ROOT, Cluster, load_images, small_overlay, start_cluster, writable_volumes
from support.docker_engine import missing_engine_reason

REPORT = os.environ.get("HANDFUL_CLUSTER_REPORT", "")
"""A file that the counts are written to. It is read here: tests do not see such variables."""
KEEP = "HANDFUL_CLUSTER_KEEP"
"""If it is set, what is delivered already is tested: for whoever writes these tests."""


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """They take a cluster for themselves, an engine that builds the images, and half an hour."""
    here = Path(__file__).parent
    asked = config.getoption("--cluster") or any("tests/cluster" in str(word) for word in config.args)
    for item in items:
        if here in item.path.parents:
            item.add_marker(pytest.mark.timeout(7200))
            if not asked:
                item.add_marker(
                    pytest.mark.skip(reason="a Kubernetes is tested when asked for: scripts/test.sh --cluster")
                )


@pytest.fixture(scope="session")
def cluster(request: pytest.FixtureRequest) -> Cluster:
    """A cluster with the images; it is left running: the next run starts in seconds."""
    if not LAUNCHER.is_file():
        pytest.skip(f"no Kubernetes was tested: there is no {LAUNCHER}")
    if reason := missing_engine_reason(request.config.getoption("--engine")):
        pytest.skip(f"no Kubernetes was tested: {reason}")
    cluster = start_cluster()
    if not os.environ.get(KEEP):
        load_images(cluster)
    return cluster


@pytest.fixture(scope="session")
def overlay(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small_overlay(tmp_path_factory.mktemp("overlay") / "small")


@pytest.fixture(scope="session")
def delivered(cluster: Cluster, overlay: Path) -> Iterator[Cluster]:
    """A first delivery into an empty namespace, with the starter model."""
    if os.environ.get(KEEP):
        yield cluster
        return
    cluster.run("delete", "namespace", cluster.namespace, "--ignore-not-found", "--timeout=300s", seconds=330)
    with writable_volumes(cluster):
        done = cluster.deploy("deploy", "--overlay", str(overlay), "--requests", "50")
        assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
        yield cluster


@pytest.fixture(scope="session")
def key(delivered: Cluster) -> str:
    return delivered.secret("deploy-key", "key")


@pytest.fixture(scope="session")
def image() -> bytes:
    """The starter model's golden image."""
    with zipfile.ZipFile(ROOT / "models" / "starter.zip") as backup:
        name = next(name for name in backup.namelist() if name.endswith("golden.png"))
        return backup.read(name)


@pytest.fixture
def counted(request: pytest.FixtureRequest) -> Iterator[dict[str, object]]:
    """What a test measured: printed, and written to the file that HANDFUL_CLUSTER_REPORT names."""
    counts: dict[str, object] = {}
    yield counts
    line = json.dumps({"test": request.node.name, **counts})
    print(line)
    if REPORT:
        with Path(REPORT).open("a", encoding="utf-8") as file:
            file.write(f"{line}\n")
