"""What serving's own parts of the HTTP layer cost and save: docs/adr/0013 and 0015 have the figures.

    python tests/benchmarks/http_layer.py           # about a minute
    python tests/benchmarks/http_layer.py --quick   # a few seconds: does it work?

The variants of each comparison answer in turns, so that other work on the machine slows them alike.
"""

from __future__ import annotations

import argparse
import asyncio
import http.client
import socket
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import Any

import uvicorn
import uvloop
from fastapi import APIRouter, FastAPI
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

sys.path.insert(0, str(Path(__file__).parents[1]))

from fakes.packages import build_package, encode, picture
from fakes.registry import FakeMlflow
from handful_core.runtime.benchmark import measure_in_turns
from handful_serving.api.routes.predict import predict
from handful_serving.api.schemas import PredictionAnswer
from handful_serving.server.protocols import BoundedHttpProtocol
from support.serving_app import make_app, running

_IMAGE = encode(picture({(2, 3): "5"}))
_ENDLESS_HEADER = b"GET / HTTP/1.1\r\nHost: x\r\na: "
_MOST_SENT = 32_000_000


def make(folder: Path) -> FastAPI:
    mlflow = FakeMlflow()
    mlflow.register(build_package(folder / "package"), "fingers", ("champion",))
    app = make_app(folder, mlflow)
    router = APIRouter()
    router.post("/fastapi", response_model=PredictionAnswer, response_model_exclude_unset=True)(predict)
    app.include_router(router)  # The same function behind FastAPI's own route.
    return app


async def post(app: FastAPI, path: str) -> None:
    """One request, without a socket."""
    body = [{"type": "http.request", "body": _IMAGE, "more_body": False}]
    sent: list[Any] = []

    async def receive() -> Any:
        return body.pop() if body else await asyncio.Event().wait()

    async def send(message: Any) -> None:
        sent.append(message)

    await app(
        {
            "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": "POST", "scheme": "http",
            "path": path, "raw_path": path.encode(), "query_string": b"", "root_path": "", "state": {},
            "headers": [(b"content-type", b"image/png")], "client": ("127.0.0.1", 1), "server": ("127.0.0.1", 1),
        },
        receive,
        send,
    )  # fmt: skip
    assert sent[0]["status"] == 200


async def medians(rounds: int, *works: Callable[[], Awaitable[None]]) -> list[float]:
    """Microseconds of each."""
    taken: list[list[float]] = [[] for _ in works]
    for _ in range(rounds):
        for work, times in zip(works, taken, strict=True):
            began = time.perf_counter()
            await work()
            times.append((time.perf_counter() - began) * 1e6)
    return [statistics.median(times[rounds // 10 :]) for times in taken]


async def routes(rounds: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        app = make(Path(folder))
        async with running(app):
            plain, fastapi = await medians(rounds, lambda: post(app, "/predict"), lambda: post(app, "/fastapi"))
    print(f"POST /predict, model of 64 pixels: {plain:.0f} us by Starlette's route, {fastapi:.0f} us by FastAPI's")


async def nothing(scope: Any, receive: Any, send: Any) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"0")]})
    await send({"type": "http.response.body", "body": b""})


def serve(protocol: type[HttpToolsProtocol]) -> int:
    """A server of an application that does nothing; its port."""
    listening = socket.create_server(("127.0.0.1", 0))
    config = uvicorn.Config(nothing, http=protocol, ws="none", lifespan="off", log_config=None, access_log=False)
    threading.Thread(target=uvicorn.Server(config).run, args=([listening],), daemon=True).start()
    return int(listening.getsockname()[1])


def get(client: http.client.HTTPConnection) -> None:
    client.request("GET", "/")
    client.getresponse().read()


def taken_of_a_header(port: int) -> int:
    """Bytes of a header without end that a server takes before it closes the connection."""
    sent = 0
    with socket.create_connection(("127.0.0.1", port)) as client:
        try:
            client.sendall(_ENDLESS_HEADER)
            while sent < _MOST_SENT:
                client.sendall(bytes(b"a" * 65_536))
                sent += 65_536
        except ConnectionError:
            pass
    return sent


def protocols(rounds: int) -> None:
    ports = [serve(protocol) for protocol in (HttpToolsProtocol, BoundedHttpProtocol)]
    time.sleep(1)
    clients = [http.client.HTTPConnection("127.0.0.1", port) for port in ports]
    theirs, ours = measure_in_turns([partial(get, client) for client in clients], warm_up=rounds // 10, rounds=rounds)
    microseconds = [timings.median * 1e3 for timings in (theirs, ours)]
    print("GET, empty: {:.0f} us by uvicorn's protocol, {:.0f} us by the bounded one".format(*microseconds))
    taken = [taken_of_a_header(port) / 1e6 for port in ports]
    print("taken of a header of 32 MB: {:.1f} MB by uvicorn's protocol, {:.1f} MB by the bounded one".format(*taken))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="few rounds")
    rounds = 200 if parser.parse_args().quick else 5000
    uvloop.run(routes(rounds))
    protocols(rounds)


if __name__ == "__main__":
    main()
