"""Looking at all images at once."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path

from handful_trainer.dataset.inspection.facts import ImageFacts
from handful_trainer.dataset.inspection.inspect import inspect_images
from handful_trainer.workers.pool import WorkerPool


def scan(
    crew: WorkerPool, paths: Sequence[Path | None], advance: Callable[[int], object], *, decode: bool = True
) -> Iterator[ImageFacts]:
    """Inspect files, in order. The caller can use the first facts while others are still looked for.

    Args:
        crew: those who do it.
        paths: the images; None where there is no file.
        advance: told how many more are done.
        decode: decode every image, not only those whose structure is odd.
    """
    files = [path and os.fspath(path) for path in paths]
    with warnings.catch_warnings():  # Threads share the filters.
        warnings.simplefilter("ignore")  # Pillow warns of odd but usable files.
        yield from crew.run(partial(inspect_images, decode=decode), files, advance)
