"""The Compose stack: started, stopped, and jobs run in its containers."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from compose.checks import check_disk, check_ports, published_ports
from compose.docker import DockerCli, profile_options
from compose.errors import FAILED, INTERRUPTED, ComposeError
from compose.first_start import check_secrets, create_missing
from console import print_error, print_status

_START_SECONDS = "600"
_PAGES = {
    "dashboard": ("the dashboard", "/"),
    "serving": ("the API", "/docs"),
    "mlflow": ("MLflow", "/"),
    "minio": ("MinIO", "/"),
    "grafana": ("Grafana", "/"),
    "prometheus": ("Prometheus", "/"),
    "alertmanager": ("Alertmanager", "/"),
}
_THIS_MACHINE = frozenset({"127.0.0.1", "::1"})
_ALL_ADDRESSES = frozenset({"0.0.0.0", "::"})  # noqa: S104  # To be compared with.


def prepare(docker: DockerCli, root: Path, profiles: tuple[str, ...] = ()) -> dict[str, Any]:
    """Check everything, then create what a first start needs.

    Returns:
        What starts with these profiles, as Compose understands it.

    Raises:
        ComposeError: something is missing or wrong; then nothing was changed.
    """
    docker.require()
    config = docker.config()
    active = docker.active(profiles)
    starting = config | {"services": {name: words for name, words in config["services"].items() if name in active}}
    check_secrets(config, docker)
    check_ports(starting, docker)
    check_disk(config, docker, root)
    create_missing(config, root)
    return starting


def up(
    docker: DockerCli,
    root: Path,
    services: tuple[str, ...] = (),
    *,
    profiles: tuple[str, ...] = (),
    build: bool = True,
) -> None:
    """Start the stack, or some of its services and what they need, and wait until all are well.

    Raises:
        ComposeError: something is missing, or a container does not come up. What ran before runs on.
    """
    config = prepare(docker, root, profiles)
    # If nothing ran before, a failed start leaves nothing running either; otherwise what ran is not ours to stop.
    before = {container["Name"] for container in docker.containers() if container["State"] == "running"}
    if build:
        docker.build(profiles=profiles)
    code = docker.compose(*profile_options(profiles), "up", "--wait", "--wait-timeout", _START_SECONDS, *services)
    if code == INTERRUPTED:
        raise ComposeError("interrupted: what was started runs on, scripts/down stops it", INTERRUPTED)
    if code:
        reasons = _failure_reasons(docker)
        if not before:
            docker.compose(*profile_options(profiles), "down")
        for line in reasons:
            print_error(line)
        rest = "what ran before runs on" if before else "all is stopped again, the data is kept"
        raise ComposeError(f"the stack did not come up: {rest}", FAILED)
    for line in (*_addresses(config, services), *_mlflow_login(config), *_grafana_login(config, services)):
        print_status(line)


def down(docker: DockerCli, *, delete_data: bool = False) -> None:
    """Stop the stack and remove its containers; with `delete_data` its volumes too.

    Raises:
        ComposeError: Docker is away or refuses.
    """
    docker.require()
    if docker.compose("--profile", "*", "down", "--remove-orphans", *(["--volumes"] if delete_data else [])):
        raise ComposeError("the stack could not be stopped, see above", FAILED)


@dataclass(frozen=True, slots=True)
class ContainerJob:
    """A `handful` command that runs in a container once and ends: a training, an export, an import.

    Attributes:
        service: the container's.
        command: the first argument of `handful`.
        built_by: the service that builds its image.
        alone: it needs nothing beside it.
        check: an option with which the command only looks at its settings; empty if it has none.
    """

    service: str
    command: str
    built_by: str
    alone: bool = False
    check: str = ""


def run_job(docker: DockerCli, root: Path, job: ContainerJob, argv: Sequence[str]) -> int:
    """Run a job with these arguments, and what it needs beside it.

    Wrong settings are told before anything beside it is started, which takes the better part of a minute.

    Returns:
        The command's own exit code.

    Raises:
        ComposeError: something is missing or wrong; then nothing was changed.
    """
    prepare(docker, root)
    docker.build(job.built_by)
    if job.check and not job.alone:
        words = ("run", "--rm", "--no-deps", "--no-TTY", job.service, job.command, *argv, job.check)
        if code := docker.compose(*words, show=False):
            return code
    options = ["--no-deps"] if job.alone else []
    if not (sys.stdin.isatty() and sys.stdout.isatty()):  # Compose fails if it cannot have the terminal it asks for.
        options.append("--no-TTY")
    return docker.compose("run", "--rm", *options, job.service, job.command, *argv)


def _failure_reasons(docker: DockerCli) -> list[str]:
    """The last log line of each container that failed."""
    return [
        f"{container['Service']}: {docker.last_log_line(container['Name'])}"
        for container in docker.containers()
        if container.get("ExitCode") or container.get("Health") == "unhealthy" or container["State"] == "restarting"
    ]


def _mlflow_login(config: dict[str, Any]) -> list[str]:
    """How to get into MLflow, or that anybody can who reaches it."""
    environment = config["services"].get("mlflow", {}).get("environment", {})
    if environment.get("MLFLOW_AUTH", "off").strip().lower() == "on":
        return ["MLflow asks for a password: docker compose exec mlflow cat /run/secrets/login/credentials"]
    addresses = [address for service, address, _ in published_ports(config) if service == "mlflow"]
    if all(address in _THIS_MACHINE for address in addresses):
        return []
    return ["others reach MLflow, which asks for no password: set MLFLOW_AUTH=on in .env, or close its port"]


def _grafana_login(config: dict[str, Any], services: tuple[str, ...]) -> list[str]:
    if "grafana" not in config["services"] or (services and "grafana" not in services):
        return []
    show = "docker compose exec grafana cat /run/secrets/grafana/grafana_password"
    return [f"Grafana's user is admin, and this shows the first password: {show}"]


def _addresses(config: dict[str, Any], services: tuple[str, ...]) -> list[str]:
    return [
        f"{name}: http://{'localhost' if address in _ALL_ADDRESSES else address}:{port}{path}"
        for service, address, port in published_ports(config)
        if (not services or service in services)
        for name, path in (_PAGES[service],)
    ]
