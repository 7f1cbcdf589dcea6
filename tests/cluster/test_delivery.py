"""Deliveries under load: no request is lost by an update, a switch, a rollback, a drained node; and few by a crash."""

from __future__ import annotations

import json
import os
import time
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest

from fakes.packages import build_package
from support import waiting
from support.cluster import ROOT, Cluster, small_overlay
from support.load import Load
from support.registering import register

_REQUESTS = int(os.environ.get("HANDFUL_CLUSTER_REQUESTS", "400"))
"""Of each test here: five of them, so 2,000."""
until = partial(waiting.until, seconds=300, pause=0.5)
_OVERLAYS = sorted(path.name for path in (ROOT / "deploy" / "kubernetes" / "overlays").iterdir())


@pytest.fixture
def load(delivered: Cluster, key: str, image: bytes) -> Load:
    until(lambda: len(delivered.ready(delivered.live())) >= 2, "two replicas are ready")
    return Load(delivered.address("serving"), key, image)


@pytest.mark.parametrize("name", _OVERLAYS)
def test_the_api_server_takes_every_overlay(delivered: Cluster, name: str) -> None:
    folder = ROOT / "deploy" / "kubernetes" / "overlays" / name
    text = delivered.kubectl("kustomize", str(folder))
    # A StatefulSet's volumes cannot change, and an overlay of another size would: under another name all is new.
    said = delivered.kubectl("create", "--dry-run=server", "--filename", "-", text=_renamed(text)).splitlines()
    assert len(said) == text.count("\nkind: "), said


def _renamed(text: str) -> str:
    import yaml

    documents = list(yaml.safe_load_all(text))
    for each in documents:
        if each["kind"] == "Namespace":
            each["metadata"]["name"] = "another"
        else:
            each["metadata"]["name"] = f"dry-{each['metadata']['name']}"
    return yaml.safe_dump_all(documents)


def test_a_pod_that_asks_for_more_is_refused(delivered: Cluster) -> None:
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "root"},
        "spec": {"containers": [{"name": "a", "image": "a"}]},
    }
    done = delivered.run("create", "--dry-run=server", "--filename", "-", text=json.dumps(pod))
    assert done.returncode != 0
    assert 'violates PodSecurity "restricted:latest"' in done.stderr


def test_check_finds_nothing_broken(delivered: Cluster, overlay: Path) -> None:
    done = delivered.deploy("check", "--overlay", str(overlay))
    assert done.returncode == 0, done.stdout
    assert "broken" not in done.stdout
    assert "dry run   the API server takes all" in done.stdout


def test_the_first_delivery_answers(delivered: Cluster, key: str, image: bytes) -> None:
    assert delivered.live() == "blue"
    headers = {"X-API-Key": key}
    for address in (delivered.address("serving"), f"{delivered.address('dashboard')}/api"):
        answer = httpx.post(
            f"{address}/predict", content=image, headers=headers | {"Content-Type": "image/png"}, timeout=60
        )
        assert answer.status_code == 200, answer.text
        assert answer.json()["model"] == "fingers"
    assert httpx.post(f"{delivered.address('serving')}/predict", content=image).status_code == 401


def test_a_rolling_update(load: Load, delivered: Cluster, counted: dict[str, object]) -> None:
    before = delivered.ready("blue")
    with load:
        load.reach(20)
        delivered.kubectl("rollout", "restart", "deployment/serving-blue")
        delivered.kubectl("rollout", "status", "deployment/serving-blue", "--timeout=900s", seconds=930)
        until(lambda: not before & set(delivered.pods("blue")), "the old pods have ended")
        load.reach(_REQUESTS)
    counted |= load.report()
    assert load.failed == 0, load.report()


def test_a_switch_and_a_rollback(load: Load, delivered: Cluster, counted: dict[str, object], tmp_path: Path) -> None:
    other = small_overlay(tmp_path / "second", "2")
    done = delivered.deploy("deploy", "--overlay", str(other), "--requests", "50")
    assert done.returncode == 0, done.stderr
    assert delivered.live() == "blue", "it is tested, and does not answer yet"
    for command, colour in (("switch", "green"), ("rollback", "blue")):
        with Load(load.address, load.key, load.image) as asking:
            asking.reach(20)
            begin = time.monotonic()
            done = delivered.deploy(command)
            seconds = time.monotonic() - begin
            assert done.returncode == 0, done.stderr
            asking.reach(_REQUESTS)
        assert delivered.live() == colour
        counted[command] = asking.report() | {"took_seconds": round(seconds, 1)}
        assert asking.failed == 0, asking.report()
    done = delivered.deploy("rollback")
    assert done.returncode == 2, "a second one would bring the bad version back"


def test_a_node_that_is_drained(load: Load, delivered: Cluster, counted: dict[str, object]) -> None:
    first, second, *_ = sorted(delivered.ready(delivered.live()))
    with load:
        load.reach(20)
        assert _evict(delivered, first).returncode == 0
        refused = _evict(delivered, second) if len(delivered.ready(delivered.live())) <= 2 else None
        until(lambda: first not in delivered.pods(delivered.live()), "the pod has ended")
        until(lambda: len(delivered.ready(delivered.live())) >= 2, "another one is ready")
        load.reach(_REQUESTS)
    counted |= load.report()
    assert load.failed == 0, load.report()
    assert refused is None or "disruption budget" in refused.stderr


def _evict(cluster: Cluster, pod: str) -> Any:
    """What `kubectl drain` asks for each pod of a node."""
    eviction = {
        "apiVersion": "policy/v1",
        "kind": "Eviction",
        "metadata": {"name": pod, "namespace": cluster.namespace},
    }
    path = f"/api/v1/namespaces/{cluster.namespace}/pods/{pod}/eviction"
    return cluster.run("create", "--raw", path, "--filename", "-", text=json.dumps(eviction))


def test_a_killed_pod(load: Load, delivered: Cluster, counted: dict[str, object]) -> None:
    with load:
        load.reach(20)
        delivered.kill(sorted(delivered.ready(delivered.live()))[0])
        load.reach(_REQUESTS)
        until(lambda: len(delivered.ready(delivered.live())) >= 2, "it has started again")
    counted |= load.report()
    # Those that it was working on, of each client one. Until the network knows, new connections are refused, too.
    assert load.failed <= 10 * load.clients, load.report()
    assert not load.refused


def test_the_autoscaler(delivered: Cluster, load: Load, counted: dict[str, object]) -> None:
    name = f"deployment/serving-{delivered.live()}"
    until(lambda: _replicas(delivered, name) == 2, "two replicas, when nobody asks", seconds=600)
    load.clients = 8
    with load:
        up = until(lambda: len(delivered.ready(delivered.live())) == 4, "four replicas are ready", seconds=900)
    down = until(lambda: _replicas(delivered, name) == 2, "two replicas again", seconds=900)
    counted |= {"two_to_four_seconds": round(up), "four_to_two_seconds": round(down)} | load.report()
    assert load.failed == 0, load.report()


def _replicas(cluster: Cluster, deployment: str) -> int:
    return int(cluster.get(deployment)["spec"]["replicas"])


def test_a_new_champion_is_served_by_all_replicas(
    delivered: Cluster, counted: dict[str, object], tmp_path: Path
) -> None:
    with delivered.forwarded("service/mlflow", 5000) as mlflow:
        package = build_package(tmp_path / "package", name="squares")
        register(mlflow, package.root, "squares", ["champion"])
        begin = time.monotonic()
        pods = sorted(delivered.ready(delivered.live()))
        seen = {pod: until(lambda pod=pod: _serves(delivered, pod, "squares"), pod) for pod in pods}
    counted["seconds_until_all_replicas_served_it"] = round(time.monotonic() - begin, 1)
    assert len(seen) >= 2


def _serves(cluster: Cluster, pod: str, model: str) -> bool:
    code = "import urllib.request as r; print(r.urlopen('http://127.0.0.1:8000/health/ready').read().decode())"
    answer = json.loads(cluster.kubectl("exec", pod, "--", "python", "-c", code))
    return any(each["name"] == model for each in answer["models"])


def test_the_prediction_log_of_all_replicas_is_in_one_place(load: Load, delivered: Cluster) -> None:
    with load:
        load.reach(40)
    with delivered.forwarded("service/mlflow", 5000) as mlflow, httpx.Client(base_url=mlflow, timeout=30) as http:
        until(lambda: len(_logging_pods(http)) >= 2, "two replicas have brought their rows", seconds=120)


def _logging_pods(http: httpx.Client) -> set[str]:
    found = http.get("/api/2.0/mlflow/experiments/get-by-name", params={"experiment_name": "monitoring/fingers"})
    if found.status_code == 404:
        return set()
    words = {"experiment_ids": [found.json()["experiment"]["experiment_id"]], "max_results": 100}
    runs = http.post("/api/2.0/mlflow/runs/search", json=words).json().get("runs", [])
    return {tag["value"] for run in runs for tag in run["data"]["tags"] if tag["key"] == "handful.replica"}
