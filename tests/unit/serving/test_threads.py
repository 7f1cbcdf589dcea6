from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
import time
from functools import partial

import pytest

from handful_serving.concurrency.threads import SingleFlight, WorkerPool, hung_threads, in_thread

pytestmark = pytest.mark.anyio


async def test_the_result_comes_from_a_daemon_thread() -> None:
    def work(a: int, b: int) -> tuple[int, bool, bool]:
        thread = threading.current_thread()
        return a + b, thread.daemon, thread is threading.main_thread()

    assert await in_thread(work, 1, 2) == (3, True, False)


async def test_an_error_is_raised_where_it_is_awaited() -> None:
    def work() -> None:
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        await in_thread(work)


async def test_the_loop_goes_on_meanwhile() -> None:
    release = threading.Event()
    running = asyncio.ensure_future(in_thread(release.wait, 5))
    await asyncio.sleep(0.01)
    assert not running.done()
    release.set()
    assert await running is True


async def test_who_gives_up_is_not_held_up() -> None:
    release = threading.Event()
    started = time.perf_counter()
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(in_thread(release.wait, 5), 0.05)
    assert time.perf_counter() - started < 2
    release.set()
    await asyncio.sleep(0.05)  # The late result finds nobody, and nothing complains.


async def test_workers_give_results_and_errors_to_who_waits() -> None:
    workers, ended = WorkerPool(2), []
    assert await workers.run(lambda: 3, lambda: ended.append("one")) == 3
    with pytest.raises(ValueError, match="no"):
        await workers.run(lambda: int("no"), lambda: ended.append("two"))
    assert ended == ["one", "two"]
    workers.close()


async def test_workers_tell_that_work_ended_that_nobody_waits_for() -> None:
    workers, release, ended = WorkerPool(1), threading.Event(), asyncio.Event()
    running = workers.run(lambda: release.wait(10), ended.set)
    running.cancel()
    await asyncio.sleep(0)
    assert not ended.is_set()
    release.set()
    await asyncio.wait_for(ended.wait(), 10)
    workers.close()


async def test_workers_that_are_closed_finish_what_was_begun() -> None:
    workers, done = WorkerPool(1), []
    for number in range(5):
        workers.run(partial(done.append, number), lambda: None)
    await asyncio.to_thread(workers.close)
    assert done == [0, 1, 2, 3, 4]


def test_a_loop_that_is_closed_is_left_alone() -> None:
    release, ended = threading.Event(), threading.Event()

    def work() -> None:
        release.wait(5)
        ended.set()

    async def give_up() -> None:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(in_thread(work), 0.01)

    asyncio.run(give_up())
    release.set()
    assert ended.wait(5)
    time.sleep(0.05)


class Work:
    def __init__(self) -> None:
        self.begun = 0
        self.release = asyncio.Event()
        self.error: Exception | None = None

    async def __call__(self) -> int:
        self.begun += 1
        await self.release.wait()
        if self.error:
            raise self.error
        return self.begun


async def test_all_who_want_the_same_wait_for_one_piece_of_work() -> None:
    flights: SingleFlight[str, int] = SingleFlight()
    work, other = Work(), Work()
    other.release.set()
    waiting = [asyncio.ensure_future(flights.do("a", work)) for _ in range(20)]
    assert await flights.do("b", other) == 1
    work.release.set()
    assert await asyncio.gather(*waiting) == [1] * 20
    assert await flights.do("a", work) == 2, "it is done anew the next time"


async def test_one_who_gives_up_ends_it_for_nobody() -> None:
    flights: SingleFlight[str, int] = SingleFlight()
    work = Work()
    first, second = (asyncio.ensure_future(flights.do("a", work)) for _ in range(2))
    await asyncio.sleep(0)
    first.cancel()
    await asyncio.sleep(0)
    work.release.set()
    assert await second == 1


async def test_an_error_reaches_all_and_is_not_remembered() -> None:
    flights: SingleFlight[str, int] = SingleFlight()
    work = Work()
    work.error = ValueError("no")
    work.release.set()
    results = await asyncio.gather(*(flights.do("a", work) for _ in range(3)), return_exceptions=True)
    assert [type(result) for result in results] == [ValueError] * 3
    work.error = None
    assert await flights.do("a", work) == 2


async def test_cancelling_ends_what_runs() -> None:
    flights: SingleFlight[str, int] = SingleFlight()
    waiting = asyncio.ensure_future(flights.do("a", Work()))
    await asyncio.sleep(0)
    flights.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting


async def test_idle_threads_of_a_closed_pool_are_not_taken_for_hung_ones() -> None:
    pool = WorkerPool(16)
    together = threading.Barrier(16)
    await asyncio.gather(*(pool.run(together.wait, lambda: None) for _ in range(16)))
    pool.close()
    assert hung_threads() == []


def test_an_inference_that_hangs_does_not_hold_up_the_end_of_the_process() -> None:
    words = (
        "import asyncio, threading, time\n"
        "from handful_serving.concurrency.threads import WorkerPool\n"
        "from handful_serving.server.run import end_beside_hung_work\n"
        "async def hang():\n"
        "    pool = WorkerPool(1)\n"
        "    pool.run(lambda: time.sleep(600), lambda: None)\n"
        "    pool.close(0.1)\n"
        "asyncio.run(hang())\n"
        "end_beside_hung_work()\n"
    )
    done = subprocess.run([sys.executable, "-c", words], timeout=60, check=False, capture_output=True, text=True)
    assert done.returncode == 0
    assert "1 images are still in work" in done.stderr
