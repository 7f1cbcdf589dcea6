"""The hashes by which images are known again: of a prepared dataset, by split."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from handful_core.console import progress
from handful_core.package import SeenImages
from handful_core.package.seen import parse_hashes
from handful_trainer.dataset.errors import DamagedFileError
from handful_trainer.dataset.inspection.inspect import inspect_all
from handful_trainer.dataset.prepared import ASSETS
from handful_trainer.workers import WorkerPool

if TYPE_CHECKING:
    from handful_trainer.dataset.prepared import PreparedDataset

_SEEN = ("train", "val")


class ImageHash(NamedTuple):
    """What an image is known by."""

    sha256: str
    """Of the source's file: a prepared image may have been written anew."""
    phash: int
    """See `perceptual_hashes`; -1 if there is none."""


def seen_images(dataset: PreparedDataset) -> SeenImages:
    """The images that a model is trained and validated on.

    Raises:
        DataError: an image cannot be read.
    """
    splits = [split for split in _SEEN if dataset.split_sizes.get(split)]
    return SeenImages(dict(found for split in splits for found in image_hashes(dataset, split).values()))


def image_hashes(dataset: PreparedDataset, split: str) -> dict[Path, ImageHash]:
    """The hashes of a split's images, in the order of the split.

    They are in the list of assets; where that has none (a folder that Handful did not prepare, or did before it wrote
    them there), they are made from the images.

    Raises:
        DataError: an image cannot be read.
    """
    paths, listed = dataset.images(split), _listed(dataset.root) if dataset.report else {}
    unknown = [path for path in paths if path not in listed]
    made = dict(zip(unknown, _inspected(unknown), strict=True))
    return {path: made[path] if path in made else listed[path] for path in paths}


def _listed(root: Path) -> dict[Path, ImageHash]:
    """Hashes by prepared image, as far as the list of assets has both; a list that is not there has none."""
    found = {}
    with contextlib.suppress(FileNotFoundError), (root / ASSETS).open(encoding="utf-8") as lines:
        for line in lines:
            with contextlib.suppress(ValueError, KeyError, TypeError):
                asset = json.loads(line)
                # No hashes, or null for one: it was not decoded.
                if hashes := parse_hashes(f"{asset['sha256']},{asset['phash']}"):
                    found[root / asset["image"]] = ImageHash(*hashes)
    return found


def _inspected(paths: Sequence[Path]) -> Iterator[ImageHash]:
    """The hashes of image files."""
    if not paths:
        return  # Nor a bar, which would stay at 0/0.
    with progress() as bar, contextlib.closing(WorkerPool(len(paths))) as pool:
        shown = bar.add_task("hashing images", total=len(paths))
        for path, facts in zip(paths, inspect_all(pool, paths, lambda done: bar.advance(shown, done)), strict=True):
            if not facts.sha256:
                raise DamagedFileError(f"{path} cannot be read ({facts.detail})", "prepare the dataset again")
            yield ImageHash(facts.sha256, facts.phash)
