"""Work that ends when its client goes away."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar, cast

from starlette.requests import ClientDisconnect, Request

_Result = TypeVar("_Result")


async def cancel_on_disconnect(request: Request, work: Coroutine[Any, Any, _Result]) -> _Result:
    """The result of `work`, which is cancelled if the client closes its connection meanwhile.

    Args:
        request: its body was read to the end.
        work: what the client waits for.

    Raises:
        ClientDisconnect: the client has gone.
    """
    asking = cast("asyncio.Task[object]", asyncio.current_task())
    gone = asyncio.ensure_future(_disconnected(request))
    waiting, left = True, False

    def leave(_: object) -> None:
        nonlocal left
        if waiting and not gone.cancelled():  # An answer that is on its way is not broken off.
            left = True
            asking.cancel()

    gone.add_done_callback(leave)
    try:
        return await work
    except asyncio.CancelledError:
        if left and not asking.uncancel():
            raise ClientDisconnect from None
        raise
    finally:
        waiting = False
        gone.cancel()


async def _disconnected(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
