"""What containers may not do."""

from __future__ import annotations

import json
import re
import socket
from typing import Any

from support.stack import SERVERS, Stack, docker
from support.waiting import until

_CONNECT = """
import json, os, socket
reached = []
for to, port in json.loads(os.environ["TARGETS"]):
    try:
        socket.create_connection((to, port), timeout=3).close()
        reached.append([to, port])
    except OSError:
        pass
print(json.dumps(reached))
"""
_GIVEN = {
    "postgres_password",
    "s3_access_key",
    "s3_secret_key",
    "mlflow_password",
    "alert_webhook",
    "alert_smtp_password",
}
_STORES = {"postgres": 5432, "minio": 9000}
Target = tuple[str, int]


def _reached(stack: Stack, service: str, targets: list[Target]) -> list[Target]:
    """To which of the targets a connection can be made from where the service is."""
    done = stack.python(service, _CONNECT, TARGETS=json.dumps(targets))
    assert done.returncode == 0, done.stderr
    return [(to, port) for to, port in json.loads(done.stdout)]


def _address(container: dict[str, Any]) -> str:
    (network,) = container["NetworkSettings"]["Networks"].values()
    return str(network["IPAddress"])


def test_only_mlflow_reaches_the_stores(stack: Stack) -> None:
    targets = [(to, port) for store, port in _STORES.items() for to in (store, _address(stack.container(store)))]
    assert _reached(stack, "mlflow", targets) == targets
    for service in ("serving", "dashboard"):
        assert _reached(stack, service, [*targets, ("mlflow", 5000)]) == [("mlflow", 5000)]


def test_the_stores_network_holds_only_what_needs_it(stack: Stack) -> None:
    config = json.loads(stack.compose_output("--profile", "*", "config", "--format", "json"))
    assert {name for name, words in config["services"].items() if "data" in words.get("networks", {})} == {
        *("postgres", "minio", "minio-init", "mlflow-migrate", "mlflow", "backup")
    }


def test_the_stores_reach_nothing_outside(stack: Stack) -> None:
    gateway = docker("network", "inspect", "bridge", "--format", "{{(index .IPAM.Config 0).Gateway}}").strip()
    with socket.create_server(("0.0.0.0", 0)) as listening:  # noqa: S104  # Where containers can find it.
        outside = [(gateway, listening.getsockname()[1])]
        assert _reached(stack, "serving", outside) == outside
        for store in _STORES:
            assert _reached(stack, store, outside) == [], f"{store} has a way out"


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
    names = ("database/postgres_password", "objects/s3_secret_key")
    secrets = [stack.secret(name) for name in names]
    secrets.append(stack.secret("login/credentials").rpartition(" = ")[2])
    assert len(set(secrets)) == 3
    assert min(map(len, secrets)) >= 32
    told = json.dumps(stack.containers()) + stack.compose_output("logs")
    told += "".join(docker("top", stack.container(service)["Id"], "-eo", "pid,args") for service in SERVERS)
    told += stack.compose_output("--profile", "*", "config")
    assert not [secret for secret in secrets if secret in told]
    for container in stack.containers():
        for line in container["Config"]["Env"]:
            name, _, value = line.partition("=")
            assert (
                not re.search(r"PASSWORD|SECRET|ACCESS_KEY", name) or value.startswith("/run/secrets/") or not value
            ), line


def test_no_process_has_a_secret_in_its_environment(stack: Stack) -> None:
    # Postgres' own entrypoint puts its password there to make the database: on the first start and no other.
    stack.compose_output("restart", "postgres")
    until(lambda: stack.healthy("postgres"), "postgres is well again")
    secrets = [stack.secret(name) for name in ("database/postgres_password", "objects/s3_secret_key")]
    secrets.append(stack.secret("login/credentials").rpartition(" = ")[2])
    for service in SERVERS:
        environments = stack.environments(service)
        assert environments, service
        assert not [pid for pid, text in environments.items() if any(secret in text for secret in secrets)], service


def test_a_secret_is_seen_by_those_alone_that_need_it(stack: Stack) -> None:
    config = json.loads(stack.compose_output("--profile", "*", "config", "--format", "json"))
    users: dict[str, set[str]] = {}
    for name, words in config["services"].items():
        for volume in words.get("volumes", ()):
            if volume["type"] == "volume":
                users.setdefault(volume["source"], set()).add(name)
    assert users["database-secret"] == {"preflight", "postgres", "mlflow-migrate", "mlflow", "backup"}
    assert users["objects-secret"] == {"preflight", "minio", "minio-init", "mlflow"}
    assert users["metrics-secret"] == {"preflight", "serving", "prometheus"}
    assert users["grafana-secret"] == {"preflight", "grafana"}
    assert users["alertmanager-config"] == {"preflight", "alertmanager"}
    assert users["mlflow-login"] == {"preflight", "mlflow", "serving", "monitor", "starter", "trainer", "backup"}
    given = {
        name
        for name, words in config["services"].items()
        for one in words.get("secrets", ())
        if one["source"] in _GIVEN
    }
    assert given == {"preflight"}
