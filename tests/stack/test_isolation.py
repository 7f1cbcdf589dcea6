"""What containers may not do."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from support.stack import SERVERS, Stack, docker

_CONNECT = """
import os, socket
try:
    socket.create_connection((os.environ["TO"], int(os.environ["PORT"])), timeout=3).close()
    print("reached")
except OSError as error:
    print(type(error).__name__)
"""
_STORES = {"postgres": "5432", "minio": "9000"}


def _reach(stack: Stack, service: str, to: str, port: str) -> str:
    done = stack.python(service, _CONNECT, TO=to, PORT=port)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def _address(container: dict[str, Any]) -> str:
    (network,) = container["NetworkSettings"]["Networks"].values()
    return str(network["IPAddress"])


@pytest.mark.parametrize("store", _STORES)
def test_only_mlflow_reaches_the_stores(stack: Stack, store: str) -> None:
    address = _address(stack.container(store))
    for to in (store, address):
        assert _reach(stack, "mlflow", to, _STORES[store]) == "reached"
        for service in ("serving", "dashboard"):
            assert _reach(stack, service, to, _STORES[store]) != "reached", f"{service} reaches {store} at {to}"


def test_the_trainer_is_where_serving_is(stack: Stack) -> None:
    config = json.loads(stack.must("--profile", "*", "config", "--format", "json"))
    assert {name for name, words in config["services"].items() if "data" in words.get("networks", {})} == {
        *("postgres", "minio", "minio-init", "mlflow-migrate", "mlflow")
    }


def test_the_stores_reach_nothing_outside(stack: Stack) -> None:
    gateway = docker("network", "inspect", "bridge", "--format", "{{(index .IPAM.Config 0).Gateway}}").strip()
    port = str(stack.ports["MLFLOW_PORT"])
    for store in _STORES:
        assert _reach(stack, store, gateway, port) in {"OSError", "TimeoutError"}, f"{store} has a way out"


def test_no_container_runs_as_root(stack: Stack) -> None:
    for service in SERVERS:
        table = docker("top", stack.container(service)["Id"], "-eo", "uid,pid,comm").splitlines()[1:]
        assert table
        assert all(line.split()[0] != "0" for line in table), f"{service}: {table}"
    for container in stack.containers():
        assert container["Config"]["User"].split(":")[0] not in {"", "0", "root"}, container["Name"]


def test_containers_have_no_rights_to_spare(stack: Stack) -> None:
    for container in stack.containers():
        host, name = container["HostConfig"], container["Name"]
        assert host["ReadonlyRootfs"], name
        assert host["CapDrop"] == ["ALL"], name
        assert not host["CapAdd"], name
        assert host["SecurityOpt"] == ["no-new-privileges:true"], name
        assert 0 < host["Memory"] <= 2 << 30, name
        assert 0 < host["PidsLimit"] <= 256, name
        assert host["LogConfig"]["Config"] == {"max-size": "10m", "max-file": "3"}, name
        for bindings in (host["PortBindings"] or {}).values():
            assert [binding["HostIp"] for binding in bindings] == ["127.0.0.1"], name


def test_published_is_what_people_use_and_no_store(stack: Stack) -> None:
    published = {
        container["Config"]["Labels"]["com.docker.compose.service"]
        for container in stack.containers()
        if container["HostConfig"]["PortBindings"]
    }
    assert published == {"dashboard", "serving", "mlflow"}


def test_no_secret_shows(stack: Stack) -> None:
    secrets = [path.read_text() for path in (stack.root / "secrets").iterdir() if path.name != "s3_access_key"]
    assert len(secrets) == 2
    told = json.dumps(stack.containers()) + stack.must("logs")
    told += "".join(docker("top", stack.container(service)["Id"], "-eo", "pid,args") for service in SERVERS)
    told += stack.must("--profile", "*", "config")
    assert not [secret for secret in secrets if secret in told]
    for container in stack.containers():
        for line in container["Config"]["Env"]:
            name, _, value = line.partition("=")
            assert not re.search(r"PASSWORD|SECRET|ACCESS_KEY", name) or value.startswith("/run/secrets/"), line
