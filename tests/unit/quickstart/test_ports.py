from __future__ import annotations

import os
import socket
from collections.abc import Iterator

import pytest

from handful_core.errors import ResourceError
from handful_quickstart import ports
from support.mlflow_server import free_port


@pytest.fixture
def taken() -> Iterator[int]:
    """A port that this test listens on."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield int(server.getsockname()[1])


def test_a_port_is_free_or_not(taken: int) -> None:
    assert not ports.is_free(taken)
    assert ports.is_free(free_port())


def test_a_port_taken_on_all_addresses_is_not_free() -> None:
    with socket.create_server(("", 0)) as server:
        assert not ports.is_free(server.getsockname()[1])


def test_a_port_that_only_root_may_take_is_not_free(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(self: socket.socket, address: tuple[str, int]) -> None:
        raise PermissionError

    port = free_port()
    monkeypatch.setattr(socket.socket, "bind", refuse)
    assert not ports.is_free(port)


def test_the_line_names_who_has_the_port(taken: int) -> None:
    with pytest.raises(ResourceError) as caught:
        ports.require_free(taken, "--port")
    assert f"port {taken} is in use by " in caught.value.message
    assert f"(process {os.getpid()})" in caught.value.message
    assert "choose another port with --port" in caught.value.hint


def test_the_line_goes_without_the_name_where_that_is_secret(taken: int, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(kind: str) -> None:
        raise ports.psutil.AccessDenied

    monkeypatch.setattr(ports.psutil, "net_connections", refuse)
    with pytest.raises(ResourceError, match=f"port {taken} is in use: stop that"):
        ports.require_free(taken, "--port")


def test_mlflow_takes_the_next_free_port_and_says_so(
    taken: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(ports, "MLFLOW_PORT", taken)
    chosen = ports.free_mlflow_port()
    assert taken < chosen < taken + 10
    assert f"port {taken} is in use" in capsys.readouterr().err


def test_mlflow_without_any_free_port_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ports, "is_free", lambda port: False)
    with pytest.raises(ResourceError, match="the ports 5000 to 5009 are all in use: choose another with --mlflow-port"):
        ports.free_mlflow_port()
