"""Ports and disk."""

from __future__ import annotations

import shutil
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from compose.checks import check_disk, check_ports
from compose.errors import CONFIG, RESOURCE, ComposeError
from fakes.docker import FakeDockerCli


@pytest.fixture
def taken() -> Iterator[int]:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        yield listening.getsockname()[1]


def _publish(engine: FakeDockerCli, **ports: int) -> dict[str, Any]:
    for service, port in ports.items():
        words = engine.stack["services"].setdefault(service, {"image": service})
        words["ports"] = [{"host_ip": "127.0.0.1", "target": 80, "published": str(port)}]
    return engine.stack


def test_a_taken_port_is_named_with_its_variable(engine: FakeDockerCli, taken: int) -> None:
    with pytest.raises(ComposeError, match=f"port {taken} on 127.0.0.1 is taken.* set DASHBOARD_PORT") as refused:
        check_ports(_publish(engine, dashboard=taken), engine)
    assert refused.value.exit_code == RESOURCE


def test_a_port_of_the_running_stack_is_no_fault(engine: FakeDockerCli, taken: int) -> None:
    engine.running = [{"Publishers": [{"URL": "127.0.0.1", "PublishedPort": taken}]}]
    check_ports(_publish(engine, dashboard=taken), engine)


def test_a_port_given_twice(engine: FakeDockerCli) -> None:
    with pytest.raises(ComposeError, match="API_PORT and DASHBOARD_PORT are both 18999") as refused:
        check_ports(_publish(engine, serving=18999, dashboard=18999), engine)
    assert refused.value.exit_code == CONFIG


def test_an_address_of_another_machine(engine: FakeDockerCli) -> None:
    config = _publish(engine, dashboard=18999)
    config["services"]["dashboard"]["ports"][0]["host_ip"] = "192.0.2.1"
    with pytest.raises(ComposeError, match=r"192\.0\.2\.1 is no address of this machine"):
        check_ports(config, engine)


@pytest.mark.parametrize(("built", "free", "line"), [(True, 2, None), (True, 0.5, "1 GB"), (False, 2, "5 GB")])
def test_disk(
    engine: FakeDockerCli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, built: bool, free: float, line: str | None
) -> None:
    if not built:
        engine.images.clear()
    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(0, 0, int(free * 2**30)))
    if line is None:
        check_disk(engine.stack, engine, tmp_path)
        return
    with pytest.raises(ComposeError, match=f"{line} are needed") as refused:
        check_disk(engine.stack, engine, tmp_path)
    assert refused.value.exit_code == RESOURCE
