"""Checks before anything is changed: ports and disk."""

from __future__ import annotations

import errno
import os
import shutil
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from compose.docker import DockerCli
from compose.errors import CONFIG, RESOURCE, ComposeError

_PORT_VARIABLES = {
    "dashboard": "DASHBOARD_PORT",
    "serving": "API_PORT",
    "mlflow": "MLFLOW_PORT",
    "minio": "MINIO_CONSOLE_PORT",
    "prometheus": "PROMETHEUS_PORT",
    "alertmanager": "ALERTMANAGER_PORT",
    "grafana": "GRAFANA_PORT",
}
_GIB = 1 << 30
_BYTES_TO_BUILD = 5 * _GIB
_BYTES_TO_RUN = _GIB
_ALL_ADDRESSES = "0.0.0.0"  # noqa: S104  # To be compared with.


def check_ports(config: dict[str, Any], docker: DockerCli) -> None:
    """Make sure that the published ports are free, or held by this very stack.

    Raises:
        ComposeError: one is taken, given twice, or cannot be listened on.
    """
    # Ports of our own running containers are taken, too: by us.
    own = {
        (entry.get("URL") or _ALL_ADDRESSES, entry["PublishedPort"])
        for container in docker.containers()
        for entry in container.get("Publishers") or ()
        if entry["PublishedPort"]
    }
    seen: dict[int, str] = {}
    for service, address, port in published_ports(config):
        variable = _PORT_VARIABLES.get(service, "the port")
        if port in seen:
            raise ComposeError(f"{seen[port]} and {variable} are both {port}: give them two ports in .env", CONFIG)
        seen[port] = variable
        if (address, port) not in own:
            _check_port(address, port, variable)


def published_ports(config: dict[str, Any]) -> Iterator[tuple[str, str, int]]:
    """Service, address and port of all that the stack publishes."""
    for name, service in config["services"].items():
        for entry in service.get("ports", ()):
            yield name, entry.get("host_ip") or _ALL_ADDRESSES, int(entry["published"])


def _check_port(address: str, port: int, variable: str) -> None:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        # As Docker does: without it, a port stays taken for a minute after its last connection has closed.
        if os.name != "nt":  # There the option means something else: it would let us take what is taken.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((address, port))
            probe.listen(1)
        except OSError as error:
            if error.errno == errno.EACCES:  # A low port: the engine has the right that we lack.
                return
            if error.errno == errno.EADDRNOTAVAIL:
                raise ComposeError(
                    f"{address} is no address of this machine: correct BIND_ADDRESS in .env", CONFIG
                ) from error
            raise ComposeError(
                f"port {port} on {address} is taken: end what listens there, or set {variable} in .env to a free one",
                RESOURCE,
            ) from error
        except OverflowError as error:
            raise ComposeError(f"{variable} is {port}, which is no port: correct it in .env", CONFIG) from error


def check_disk(config: dict[str, Any], docker: DockerCli, root: Path) -> None:
    """Refuse to fill the disk.

    Raises:
        ComposeError: there is too little room for images that are not built yet, or to run at all.
    """
    folder = docker.data_folder() or root
    images = [
        service["image"] for service in config["services"].values() if "build" in service and "profiles" not in service
    ]
    needed = _BYTES_TO_RUN if all(map(docker.has_image, sorted(set(images)))) else _BYTES_TO_BUILD
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise ComposeError(
            f"{folder} has {free / _GIB:.1f} GB free and {needed / _GIB:.0f} GB are needed: make room "
            f"(`docker system df` tells what Docker takes)",
            RESOURCE,
        )
