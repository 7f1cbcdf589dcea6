"""Looking at all images at once."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import TypeVar

from handful_core.vision.cpus import available_cpus
from handful_trainer.data.facts import ImageFacts
from handful_trainer.data.images import inspect_images
from handful_trainer.data.inspectors import Inspectors

_CHUNK = 32
"""Files a task: few enough for a lively progress bar, enough that handing them out costs nothing."""
_MANY = 1500
"""Images from which on processes are worth their start, a quarter of a second of a processor's time each."""
_MOST = 8
"""Processes. This one, which takes in what they find, needs a tenth of the time that they need for an image."""

_In = TypeVar("_In")
_Out = TypeVar("_Out")


class Scan:
    """Inspects images. Where they are many, the processes for it start at once, and are ready when it begins.

    Args:
        images: about how many there will be.
        decode: decode every image, not only those whose structure is odd.
    """

    def __init__(self, images: int, decode: bool = True) -> None:
        self._decode = decode
        processors = available_cpus()
        many = images >= _MANY and processors > 1
        self._inspectors = Inspectors(min(processors, _MOST), decode) if many else None

    def look_at(self, paths: Sequence[Path | None], advance: Callable[[int], object]) -> Iterator[ImageFacts]:
        """Inspect files, in order. The caller can use the first facts while others are still looked for.

        Args:
            paths: the images; None where there is no file.
            advance: told how many more are done.
        """
        with warnings.catch_warnings():  # Threads share the filters.
            warnings.simplefilter("ignore")  # Pillow warns of odd but usable files.
            if self._inspectors is None:
                yield from _by_chunks(partial(inspect_images, decode=self._decode), paths, advance)
                return
            for found in self._inspectors.inspect(_chunks(paths)):
                advance(len(found))
                yield from found
        self.close()

    def close(self) -> None:
        """End the processes."""
        if self._inspectors:
            self._inspectors.close()


def in_parallel(work: Callable[[_In], _Out], items: Sequence[_In], advance: Callable[[int], object]) -> Iterator[_Out]:
    """Results of `work`, in order, by as many threads as there are processors."""
    return _by_chunks(lambda chunk: [work(item) for item in chunk], items, advance)


def _chunks(items: Sequence[_In]) -> list[Sequence[_In]]:
    return [items[start : start + _CHUNK] for start in range(0, len(items), _CHUNK)]


def _by_chunks(
    work: Callable[[Sequence[_In]], list[_Out]], items: Sequence[_In], advance: Callable[[int], object]
) -> Iterator[_Out]:
    """Results of `work`, which takes several items at once, in order, by as many threads as there are processors.

    Decoding, hashing, drawing and file calls let go of the interpreter's lock.
    """
    with ThreadPoolExecutor(available_cpus(), thread_name_prefix="handful-data") as pool:
        try:
            for results in pool.map(work, _chunks(items)):
                advance(len(results))
                yield from results
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
