"""What a prepared dataset is made from, as one number."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable

from handful_trainer.data.images import ImageFacts
from handful_trainer.data.raw import RawDataset, RawItem
from handful_trainer.data.settings import DatasetConfig

FORMAT = 1
"""Raise it when `prepare` makes something else of the same input: datasets prepared before are then made anew."""


def fingerprint_of(
    config: DatasetConfig, classes: tuple[str, ...], raw: RawDataset, found: Iterable[tuple[RawItem, ImageFacts]]
) -> str:
    """sha256, in hexadecimal, of every image's content, every annotation, and the settings that change the outcome.

    Where the files lie and what the dataset is called is not part of it.

    Args:
        config: the settings.
        classes: the class names that are used.
        raw: what the source said.
        found: its items in a lasting order, with what was found in their files.
    """
    settings = config.model_dump(mode="json", include={"source", "counts", "unknown_labels", "split", "seed"})
    strays = (raw.older_annotations, raw.annotations_without_asset, raw.files_without_asset)
    digest = hashlib.sha256(json.dumps([FORMAT, settings, classes, strays], sort_keys=True).encode())
    for item, facts in found:
        content = (item._replace(path=None), facts.sha256, facts.defect if facts.sha256 == "" else "")
        digest.update(json.dumps(content).encode())
    return digest.hexdigest()
