from __future__ import annotations

import logging
import pickle
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

import psutil
import pytest

from fakes.exports import encoded, picture
from handful_trainer import workers
from handful_trainer.dataset.inspection.inspect import WriteMode, inspect_all, inspect_images
from handful_trainer.dataset.preparation.link import FileLinker, ImageEntry, place_images
from handful_trainer.tasks.detection.labels import Box, LabelEntry, write_labels
from handful_trainer.workers import WorkerPool


@pytest.fixture
def paths(tmp_path: Path) -> list[str | None]:
    contents = [*(encoded(picture(seed)) for seed in range(4)), encoded(picture(9))[:-300], b"", b"<html></html>"]
    files = [tmp_path / f"{number}.jpg" for number in range(len(contents))]
    for file, content in zip(files, contents, strict=True):
        file.write_bytes(content)
    return [*map(str, files), None, str(tmp_path / "gone.jpg")]


@pytest.fixture
def two(monkeypatch: pytest.MonkeyPatch) -> Iterator[WorkerPool]:
    monkeypatch.setattr(workers, "available_cpus", lambda: 2)
    monkeypatch.setattr(workers, "_MIN_IMAGES", 1)
    with closing(WorkerPool(1)) as both:
        assert len(both._processes) == 2
        yield both


@pytest.mark.parametrize("decode", [True, False])
def test_processes_find_what_this_one_finds_in_order(two: WorkerPool, paths: list[str | None], decode: bool) -> None:
    work = partial(inspect_images, decode=decode)
    done: list[int] = []
    assert list(two.run(work, paths * 5, done.append, chunk=2)) == inspect_images(paths * 5, decode)
    assert sum(done) == len(paths) * 5


def test_the_work_begins_before_anybody_asks_for_results(two: WorkerPool, paths: list[str | None]) -> None:
    begun = threading.Event()
    two.run(inspect_images, paths, lambda _: begun.set())
    assert begun.wait(60)


def test_several_works_at_once_are_not_mixed_up(two: WorkerPool, paths: list[str | None]) -> None:
    works = [partial(inspect_images, decode=decode) for decode in (True, False)]
    first, second = (two.run(work, paths, chunk=1) for work in works)
    assert [list(second), list(first)] == [works[1](paths), works[0](paths)]


def test_what_fails_there_is_raised_here(two: WorkerPool, paths: list[str | None], tmp_path: Path) -> None:
    entry = ImageEntry(str(paths[0]), "train/a.jpg", WriteMode.LINK)
    with pytest.raises(FileNotFoundError, match=r"nowhere/train/a\.jpg"):
        list(two.run(partial(place_images, str(tmp_path / "nowhere"), FileLinker()), [entry]))
    assert list(two.run(inspect_images, paths)) == inspect_images(paths)


def test_processes_that_end_are_no_harm(
    two: WorkerPool, paths: list[str | None], caplog: pytest.LogCaptureFixture
) -> None:
    for process in two._processes:
        assert process
        process.kill()
        process.wait()
    with caplog.at_level(logging.WARNING):
        assert list(two.run(inspect_images, paths, chunk=1)) == inspect_images(paths)
    assert {record.message for record in caplog.records} == {"a worker process has ended; this process does its work"}


@pytest.mark.parametrize("what", ["images", "labels"])
def test_what_a_process_had_written_when_it_ended_is_written_again(
    two: WorkerPool, paths: list[str | None], tmp_path: Path, what: str
) -> None:
    entries: list[Any] = [ImageEntry(str(path), f"train/{n}.jpg", WriteMode.LINK) for n, path in enumerate(paths[:4])]
    work: partial[list[None]] = partial(place_images, str(tmp_path), FileLinker())
    if what == "labels":
        entries = [LabelEntry(f"train/{n}.txt", 64, 48, (Box(0, 1, 1, 9, 9),)) for n in range(4)]
        work = partial(write_labels, str(tmp_path))
    (tmp_path / "train").mkdir()
    work(entries[:3])  # This far it came.
    for process in filter(None, two._processes):
        process.kill()
        process.wait()
    list(two.run(work, entries, again=partial(work, again=True)))
    assert all((tmp_path / entry.name).stat().st_size for entry in entries)


def test_a_process_ends_by_itself_and_quietly_when_nobody_listens(paths: list[str | None]) -> None:
    words = "from handful_trainer.workers import main; main()"
    with subprocess.Popen(
        [sys.executable, "-c", words], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdin
        assert process.stdout
        assert process.stderr
        process.stdout.close()
        pickle.dump((inspect_images, paths), process.stdin)
        process.stdin.close()
        assert process.stderr.read() == b""
    assert process.returncode == 0


def test_where_no_process_can_be_started_this_one_does_the_work(
    paths: list[str | None], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(sys, "executable", str(tmp_path / "no-python"))
    monkeypatch.setattr(workers, "available_cpus", lambda: 2)
    with closing(WorkerPool(workers._MIN_IMAGES)) as alone:
        assert alone._processes == [None, None]
        assert list(alone.run(inspect_images, paths)) == inspect_images(paths)


def test_few_images_are_inspected_by_threads(paths: list[str | None]) -> None:
    with closing(WorkerPool(len(paths))) as threads:
        assert threads._processes == []
        assert list(inspect_all(threads, [Path(path) if path else None for path in paths], print)) == inspect_images(
            paths
        )


def test_work_that_cannot_be_sent_is_done_by_this_process(two: WorkerPool) -> None:
    assert list(two.run(lambda numbers: [number + 1 for number in numbers], range(200))) == list(range(1, 201))


def test_a_worker_ends_when_the_program_is_killed() -> None:
    words = (
        "import time\nfrom handful_trainer import workers\nworkers.available_cpus = lambda: 2\n"
        "pool = workers.WorkerPool(workers._MIN_IMAGES)\n"
        "print(*[process.pid for process in pool._processes], flush=True)\ntime.sleep(60)"
    )
    with subprocess.Popen([sys.executable, "-c", words], stdout=subprocess.PIPE, text=True) as program:
        assert program.stdout
        pids = [int(pid) for pid in program.stdout.readline().split()]
        program.kill()
    assert len(pids) == 2
    gone = time.monotonic() + 30
    while any(psutil.pid_exists(pid) and psutil.Process(pid).status() != "zombie" for pid in pids):
        assert time.monotonic() < gone
        time.sleep(0.05)


def test_closing_ends_what_is_running(two: WorkerPool, paths: list[str | None]) -> None:
    two.run(inspect_images, paths * 1000)
    two.close()
    assert all(process and process.returncode is not None for process in two._processes)
    assert not any(thread.is_alive() for thread in two._threads)
