"""A client that goes away at any moment of its request."""

from __future__ import annotations

import asyncio
from typing import Any, cast

import pytest
from starlette.requests import ClientDisconnect, Request

from handful_serving.api.disconnect import cancel_on_disconnect

pytestmark = pytest.mark.anyio


class _Leaving:
    """A request whose client goes away after some turns of the event loop."""

    def __init__(self, turns: int) -> None:
        self._turns = turns

    async def receive(self) -> dict[str, Any]:
        for _ in range(self._turns):
            await asyncio.sleep(0)
        return {"type": "http.disconnect"}


async def _asked(leaves: int, works: int) -> str:
    ended: list[str] = []

    async def work() -> str:
        try:
            for _ in range(works):
                await asyncio.sleep(0)
        finally:
            ended.append("work")
        return "answer"

    try:
        answer = await cancel_on_disconnect(cast("Request", _Leaving(leaves)), work())
    except ClientDisconnect:
        answer = "gone"
    for _ in range(5):  # What comes after is broken off by nobody.
        await asyncio.sleep(0)
    assert ended == ["work"]
    return answer


async def test_there_is_an_answer_or_nobody_to_answer() -> None:
    outcomes = [[await asyncio.create_task(_asked(leaves, works)) for works in range(8)] for leaves in range(6)]
    for outcome in outcomes:
        assert outcome == sorted(outcome)  # First answers, and where the work takes longer, nobody.
        assert set(outcome) == {"answer", "gone"}


async def test_who_asks_can_be_cancelled() -> None:
    asking = asyncio.create_task(_asked(1000, 1000))
    await asyncio.sleep(0)
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
