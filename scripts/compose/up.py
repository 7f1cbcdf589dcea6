"""Up and down."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from compose.checks import check_disk, check_ports, published
from compose.engine import Engine
from compose.errors import FAILED, INTERRUPTED, ComposeError
from compose.first_start import check_secrets, make_all
from compose.terminal import complain, say

_START_SECONDS = "600"
_PAGES = {
    "dashboard": ("the dashboard", "/"),
    "serving": ("the API", "/docs"),
    "mlflow": ("MLflow", "/"),
    "minio": ("MinIO's console", "/"),
}
_ALL_ADDRESSES = frozenset({"0.0.0.0", "::"})  # noqa: S104  # To be compared with.


def prepare(engine: Engine, root: Path) -> dict[str, Any]:
    """Look at everything, then make what a first start needs.

    Returns:
        The stack as Compose understands it.

    Raises:
        ComposeError: something is missing or wrong; then nothing was changed.
    """
    engine.require()
    config = engine.config()
    check_secrets(config, engine)
    check_ports(config, engine)
    check_disk(config, engine, root)
    make_all(config, root)
    return config


def up(engine: Engine, root: Path, services: tuple[str, ...] = (), *, build: bool = True) -> None:
    """Start the stack, or some of its services and what they need, and wait until all are well.

    Raises:
        ComposeError: something is missing, or a container does not come up. What ran before runs on.
    """
    config = prepare(engine, root)
    before = {container["Name"] for container in engine.containers() if container["State"] == "running"}
    if build:
        engine.build()
    code = engine.compose("up", "--wait", "--wait-timeout", _START_SECONDS, *services)
    if code == INTERRUPTED:
        raise ComposeError("interrupted: what was started runs on, scripts/down stops it", INTERRUPTED)
    if code:
        reasons = _reasons(engine)
        if not before:
            engine.compose("down")
        for line in reasons:
            complain(line)
        rest = "what ran before runs on" if before else "all is stopped again, the data is kept"
        raise ComposeError(f"the stack did not come up: {rest}", FAILED)
    for line in _addresses(config, services):
        say(line)


def down(engine: Engine, *, delete_data: bool = False) -> None:
    """Stop the stack and remove its containers; with `delete_data` its volumes too.

    Raises:
        ComposeError: Docker is away or refuses.
    """
    engine.require()
    if engine.compose("--profile", "*", "down", "--remove-orphans", *(["--volumes"] if delete_data else [])):
        raise ComposeError("the stack could not be stopped, see above", FAILED)


def _reasons(engine: Engine) -> list[str]:
    """What the containers that failed said last."""
    return [
        f"{container['Service']}: {engine.last_words(container['Name'])}"
        for container in engine.containers()
        if container.get("ExitCode") or container.get("Health") == "unhealthy" or container["State"] == "restarting"
    ]


def _addresses(config: dict[str, Any], services: tuple[str, ...]) -> list[str]:
    return [
        f"{name}: http://{'localhost' if address in _ALL_ADDRESSES else address}:{port}{path}"
        for service, address, port in published(config)
        if (not services or service in services)
        for name, path in (_PAGES[service],)
    ]
