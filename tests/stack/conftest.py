"""A running stack that the tests share. They run when asked for: `scripts/test.sh`, or `pytest --stack`."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest

from fakes.packages import build_package, encode, picture
from support.docker_engine import missing_engine_reason
from support.network_lock import Hold, exclusive
from support.registering import register
from support.stack import Stack, copy_checkout
from support.waiting import until

HAND = encode(picture({(2, 3): "5"}))


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """They take a Docker engine, minutes, and images to build: 6 GB for the trainer's, whose tests are slow ones."""
    here = Path(__file__).parent
    ours = [item for item in items if here in item.path.parents]
    words = [config.option.markexpr, *map(str, config.args)]
    asked = config.getoption("--stack") or any("stack" in word for word in words)
    reason = None if asked else "the stack is tested when asked for: scripts/test.sh --stack, or pytest --stack"
    for item in ours:
        item.add_marker(pytest.mark.timeout(1800))
        if "trainer_image" in getattr(item, "fixturenames", ()) and not config.getoption("--slow"):
            item.add_marker(pytest.mark.skip(reason="slow, as it builds the trainer's image: run with --slow"))
        if reason:
            item.add_marker(pytest.mark.skip(reason=reason))


@pytest.fixture(scope="session")
def network(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Hold:
    """Docker makes and removes networks only while no other worker has a browser."""
    return exclusive(request.config, tmp_path_factory.getbasetemp())


@pytest.fixture(scope="session", autouse=True)
def engine(request: pytest.FixtureRequest, network: Hold) -> None:
    """The Docker engine, which may still be starting. Without one nothing here is tested."""
    with network():
        reason = missing_engine_reason(request.config.getoption("--engine"))
    if reason:
        pytest.skip(f"the stack was not tested: {reason}")


@pytest.fixture(autouse=True)
def _network(network: Hold) -> Iterator[None]:
    with network():
        yield


@pytest.fixture(scope="session")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the checkout, in which a first start makes .env and the secrets."""
    copy = copy_checkout(Path(__file__).parents[2], tmp_path_factory.mktemp("stack") / "handful")
    (copy / "models" / "starter.zip").unlink(missing_ok=True)  # The tests bring models of their own.
    return copy


@pytest.fixture(scope="session")
def stack(checkout: Path, network: Hold) -> Iterator[Stack]:
    """The stack, started from nothing as a user does; `fingers` has a champion that finds squares."""
    stack = Stack(checkout, f"handful-test-{os.getpid()}")
    try:
        with network():
            _start(stack)
        yield stack
    finally:
        with network():
            stack.remove()


def _start(stack: Stack) -> None:
    done = stack.run_script("up", timeout=1500)
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    package = build_package(stack.root.parent / "squares" / "package", name="fingers")
    register(stack.url("MLFLOW_PORT"), package.root, "fingers", ["champion"])
    with httpx.Client(timeout=30) as http:
        until(lambda: _ask(http, stack).is_success, "serving answers with the champion")


@pytest.fixture
def ask(stack: Stack) -> Iterator[Callable[..., httpx.Response]]:
    """Ask what is in the picture of a five, through nginx."""
    with httpx.Client(timeout=30) as http:
        yield partial(_ask, http, stack)


@pytest.fixture
def predict(ask: Callable[..., httpx.Response]) -> Callable[..., dict[str, Any]]:
    """The answer to that."""

    def predict(**params: str | int) -> dict[str, Any]:
        response = ask(**params)
        assert response.status_code == 200, response.text
        return dict(response.json())

    return predict


@pytest.fixture(scope="session")
def trainer_image(stack: Stack) -> str:
    """The name of the trainer's image, which is built."""
    stack.compose_output("build", "trainer", timeout=1700)
    config = json.loads(stack.compose_output("--profile", "*", "config", "--format", "json"))
    return str(config["services"]["trainer"]["image"])


@pytest.fixture
def fresh(checkout: Path, tmp_path: Path) -> Iterator[Stack]:
    """Another stack of another copy, of which nothing is there yet."""
    stack = Stack(copy_checkout(checkout, tmp_path / "handful"), f"handful-test-{os.getpid()}-fresh")
    yield stack
    stack.remove()


def _ask(http: httpx.Client, stack: Stack, **params: str | int) -> httpx.Response:
    return http.post(f"{stack.url('DASHBOARD_PORT')}/api/predict", params=params, files={"image": HAND})
