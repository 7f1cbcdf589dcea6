"""Work that ends when its client disconnects."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar, cast

from starlette.requests import ClientDisconnect, Request

_Result = TypeVar("_Result")


async def cancel_on_disconnect(request: Request, work: Coroutine[Any, Any, _Result]) -> _Result:
    """The result of `work`, which is cancelled if the client disconnects before it is there.

    It works as `asyncio.timeout` does. The work runs in the task of the request, so nothing is handed over between
    tasks on the way to a response. A second task only waits for the disconnect, and cancels the first one. That
    cancellation is its own, so `uncancel` takes it back and it becomes a `ClientDisconnect`. A cancellation that came
    from elsewhere (the server's end) stays one.

    Args:
        request: its body was read to the end.
        work: what the client waits for.

    Raises:
        ClientDisconnect: the client has disconnected.
    """
    task = cast("asyncio.Task[object]", asyncio.current_task())
    disconnect = asyncio.ensure_future(_wait_for_disconnect(request))
    waiting, disconnected = True, False

    def cancel(_: object) -> None:
        nonlocal disconnected
        # Callbacks run a turn of the event loop later: by then the work may be done, and its response on the way.
        if waiting and not disconnect.cancelled():
            disconnected = True
            task.cancel()

    disconnect.add_done_callback(cancel)
    try:
        return await work
    except asyncio.CancelledError:
        if disconnected and not task.uncancel():
            raise ClientDisconnect from None
        raise
    finally:
        waiting = False
        disconnect.cancel()


async def _wait_for_disconnect(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
