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


async def test_slots_are_given_first_come_first_served() -> None:
    queue = AdmissionQueue(1, max_waiting=5, deadline=60)
    first = await queue.acquire()
    order: list[int] = []

    async def come(number: int) -> None:
        slot = await queue.acquire()
        order.append(number)
        slot.release()

    tasks = [asyncio.create_task(come(number)) for number in range(4)]
    await settle()
    assert (queue.busy, queue.waiting) == (1, 4)
    first.release()
    first.release()
    await asyncio.gather(*tasks)
    assert order == [0, 1, 2, 3]
    assert (queue.busy, queue.waiting) == (0, 0)


async def test_a_full_queue_sends_away_and_says_when_to_come_back() -> None:
    clock = Clock()
    queue = AdmissionQueue(1, max_waiting=1, deadline=60, clock=clock)
    slot = await queue.acquire()
    clock.now = 4
    slot.release()
    await queue.acquire()
    waiting = asyncio.create_task(queue.acquire())
    await settle()
    assert queue.is_full
    with pytest.raises(OverloadedError, match="the queue is full") as caught:
        await queue.acquire()
    assert (caught.value.reason, caught.value.retry_after) == ("queue_full", 8)
    waiting.cancel()


async def test_what_could_not_be_answered_in_time_is_refused_at_once() -> None:
    clock = Clock()
    queue = AdmissionQueue(2, max_waiting=100, deadline=10, clock=clock)
    slot = await queue.acquire()
    clock.now = 4
    slot.release()
    for _ in range(2):
        await queue.acquire()
    waiting = [asyncio.create_task(queue.acquire()) for _ in range(3)]  # 4 s each, two at once: 6, 8 and 10 s.
    await settle()
    assert queue.waiting == 3
    with pytest.raises(OverloadedError, match="within 10 s") as caught:
        await queue.acquire()
    assert caught.value.reason == "deadline"
    for task in waiting:
        task.cancel()


async def test_whoever_waited_too_long_is_sent_away() -> None:
    queue = AdmissionQueue(1, max_waiting=5, deadline=0.01)
    slot = await queue.acquire()
    with pytest.raises(OverloadedError, match="no place came free"):
        await queue.acquire()
    assert queue.waiting == 0
    slot.release()
    assert queue.busy == 0


async def test_whoever_goes_away_frees_its_slot() -> None:
    queue = AdmissionQueue(1, max_waiting=5, deadline=60)
    slot = await queue.acquire()
    cancelled, stays = asyncio.create_task(queue.acquire()), asyncio.create_task(queue.acquire())
    await settle()
    cancelled.cancel()
    await settle()
    assert queue.waiting == 1
    slot.release()
    (await stays).release()
    assert queue.busy == 0


async def test_a_turn_that_comes_as_its_owner_goes_is_the_next_ones() -> None:
    queue = AdmissionQueue(1, max_waiting=5, deadline=60)
    slot = await queue.acquire()
    cancelled, stays = asyncio.create_task(queue.acquire()), asyncio.create_task(queue.acquire())
    await settle()
    slot.release()  # The turn is given, and not taken up yet.
    cancelled.cancel()
    async with asyncio.timeout(10):
        (await stays).release()
    assert (queue.busy, queue.waiting) == (0, 0)
