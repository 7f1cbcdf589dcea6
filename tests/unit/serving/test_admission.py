from __future__ import annotations

import asyncio

import pytest

from handful_serving.concurrency.admission import AdmissionQueue
from handful_serving.errors import OverloadedError

pytestmark = pytest.mark.anyio


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


async def settle() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def test_places_are_given_in_the_order_of_coming() -> None:
    queue = AdmissionQueue(1, waiting=5, seconds=60)
    first = await queue.enter()
    order: list[int] = []

    async def come(number: int) -> None:
        place = await queue.enter()
        order.append(number)
        place.leave()

    tasks = [asyncio.create_task(come(number)) for number in range(4)]
    await settle()
    assert (queue.busy, queue.waiting) == (1, 4)
    first.leave()
    first.leave()
    await asyncio.gather(*tasks)
    assert order == [0, 1, 2, 3]
    assert (queue.busy, queue.waiting) == (0, 0)


async def test_a_full_queue_sends_away_and_says_when_to_come_back() -> None:
    clock = Clock()
    queue = AdmissionQueue(1, waiting=1, seconds=60, clock=clock)
    place = await queue.enter()
    clock.now = 4
    place.leave()
    await queue.enter()
    waiting = asyncio.create_task(queue.enter())
    await settle()
    assert queue.is_full
    with pytest.raises(OverloadedError, match="the queue is full") as caught:
        await queue.enter()
    assert (caught.value.reason, caught.value.retry_after) == ("queue_full", 8)
    waiting.cancel()


async def test_what_could_not_be_answered_in_time_is_refused_at_once() -> None:
    clock = Clock()
    queue = AdmissionQueue(2, waiting=100, seconds=10, clock=clock)
    place = await queue.enter()
    clock.now = 4
    place.leave()
    for _ in range(2):
        await queue.enter()
    waiting = [asyncio.create_task(queue.enter()) for _ in range(3)]  # 4 s each, two at once: 6, 8 and 10 s.
    await settle()
    assert queue.waiting == 3
    with pytest.raises(OverloadedError, match="within 10 s") as caught:
        await queue.enter()
    assert caught.value.reason == "deadline"
    for task in waiting:
        task.cancel()


async def test_whoever_waited_too_long_is_sent_away() -> None:
    queue = AdmissionQueue(1, waiting=5, seconds=0.01)
    place = await queue.enter()
    with pytest.raises(OverloadedError, match="no place came free"):
        await queue.enter()
    assert queue.waiting == 0
    place.leave()
    assert queue.busy == 0


async def test_whoever_goes_away_frees_its_place() -> None:
    queue = AdmissionQueue(1, waiting=5, seconds=60)
    place = await queue.enter()
    gone, stays = asyncio.create_task(queue.enter()), asyncio.create_task(queue.enter())
    await settle()
    gone.cancel()
    await settle()
    assert queue.waiting == 1
    place.leave()
    (await stays).leave()
    assert queue.busy == 0


async def test_a_turn_that_comes_as_its_owner_goes_is_the_next_ones() -> None:
    queue = AdmissionQueue(1, waiting=5, seconds=60)
    place = await queue.enter()
    gone, stays = asyncio.create_task(queue.enter()), asyncio.create_task(queue.enter())
    await settle()
    place.leave()  # The turn is given, and not taken up yet.
    gone.cancel()
    async with asyncio.timeout(10):
        (await stays).leave()
    assert (queue.busy, queue.waiting) == (0, 0)
