"""Looking at all images at once."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from handful_core.vision.cpus import available_cpus
from handful_trainer.data.images import ImageFacts, inspect_images
from handful_trainer.data.inspectors import Inspectors

_CHUNK = 32
"""Files a task: few enough for a lively progress bar, enough that handing them out costs nothing."""
_MANY = 1500
"""Images from which on processes are worth their start, about half a second of a processor's time each."""

_In = TypeVar("_In")
_Out = TypeVar("_Out")


def scan(paths: Sequence[Path | None], advance: Callable[[int], object]) -> Iterator[ImageFacts]:
    """Inspect files, in order. The caller can use the first facts while others are still looked for.

    Args:
        paths: the images; None where there is no file.
        advance: told how many more are done.
    """
    processors = available_cpus() if len(paths) >= _MANY else 1
    with warnings.catch_warnings(), Inspectors(processors) as inspectors:  # Threads share the filters.
        warnings.simplefilter("ignore")  # Pillow warns of odd but usable files.
        yield from by_chunks(inspectors.inspect if processors > 1 else inspect_images, paths, advance)


def in_parallel(work: Callable[[_In], _Out], items: Sequence[_In], advance: Callable[[int], object]) -> Iterator[_Out]:
    """Results of `work`, in order, by as many threads as there are processors."""
    return by_chunks(lambda chunk: [work(item) for item in chunk], items, advance)


def by_chunks(
    work: Callable[[Sequence[_In]], list[_Out]], items: Sequence[_In], advance: Callable[[int], object]
) -> Iterator[_Out]:
    """Results of `work`, which takes several items at once, in order, by as many threads as there are processors.

    Decoding, hashing, drawing and file calls let go of the interpreter's lock.
    """
    chunks = [items[start : start + _CHUNK] for start in range(0, len(items), _CHUNK)]
    with ThreadPoolExecutor(available_cpus(), thread_name_prefix="handful-data") as pool:
        try:
            for results in pool.map(work, chunks):
                advance(len(results))
                yield from results
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
