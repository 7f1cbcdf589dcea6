"""Which ports are free, and who has those that are not."""

from __future__ import annotations

import os
import socket
from collections.abc import Collection

import psutil

from handful_core.console import say
from handful_core.errors import ResourceError

LOCALHOST = "127.0.0.1"
API_PORT = 8000
MLFLOW_PORT = 5000
MONITOR_PORT = 8002
_TRIES = 10


def is_free(port: int) -> bool:
    """Whether a server can listen on this port of the local address."""
    # Asked both ways: macOS lets a program listen on a port of 127.0.0.1 that another one has on all addresses.
    with socket.socket() as client:
        client.settimeout(0.5)
        if client.connect_ex((LOCALHOST, port)) == 0:
            return False
    with socket.socket() as server:
        if os.name == "posix":
            server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            server.bind((LOCALHOST, port))
        except OSError:
            return False
    return True


def require_free(port: int, option: str) -> int:
    """The port, if it is free.

    Raises:
        ResourceError: it is not; the line names who has it, as far as this user may know.
    """
    if is_free(port):
        return port
    raise ResourceError(f"port {port} is in use{_by(port)}", f"stop that, or choose another port with {option}")


def free_mlflow_port() -> int:
    """MLflow's usual port, or the next free one: on macOS AirPlay has it."""
    for port in range(MLFLOW_PORT, MLFLOW_PORT + _TRIES):
        if is_free(port):
            if port != MLFLOW_PORT:
                say(f"port {MLFLOW_PORT} is in use{_by(MLFLOW_PORT)}: MLflow takes {port}")
            return port
    raise ResourceError(
        f"the ports {MLFLOW_PORT} to {MLFLOW_PORT + _TRIES - 1} are all in use", "choose another with --mlflow-port"
    )


def free_monitor_port(taken: Collection[int]) -> int:
    """The monitor's usual port, or the next free one: nobody asks there but serving.

    Args:
        taken: ports that other servers are about to take.
    """
    for port in range(MONITOR_PORT, MONITOR_PORT + _TRIES):
        if port not in taken and is_free(port):
            return port
    raise ResourceError(
        f"the ports {MONITOR_PORT} to {MONITOR_PORT + _TRIES - 1} are all in use", "end what listens on one of them"
    )


def _by(port: int) -> str:
    """Who listens there, in words; empty where this user may not know."""
    try:
        listening = (c for c in psutil.net_connections("tcp") if c.status == psutil.CONN_LISTEN)
        pids = {c.pid for c in listening if c.laddr.port == port and c.pid}
        return "".join(f" by {psutil.Process(pid).name()} (process {pid})" for pid in sorted(pids)[:1])
    except psutil.Error:
        return ""
