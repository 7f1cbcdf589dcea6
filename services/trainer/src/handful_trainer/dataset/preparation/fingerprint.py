"""What a prepared dataset is made from, as one number."""

from __future__ import annotations

import hashlib
import json

from handful_trainer.dataset.inspection.facts import ImageFacts
from handful_trainer.dataset.settings import DatasetConfig
from handful_trainer.dataset.sources.base import RawDataset, RawItem
from handful_trainer.tasks import DEFAULT

FORMAT = 2
"""Raise it when `prepare` makes something else of the same input: datasets prepared before are then made anew."""

_DECISIVE = {"source", "counts", "unknown_labels", "polygons", "split", "keep_together", "seed"}
"""Settings that change the outcome. `check` does too: it counts where it is not as it always was, so that the datasets
that were prepared before it existed keep their fingerprints."""

_encode = json.JSONEncoder(check_circular=False).encode


class Fingerprint:
    """sha256 of every image's content, every annotation, and the settings that change the outcome.

    Where the files lie and what the dataset is called is not part of it.

    Args:
        config: the settings.
        task: what the dataset is for.
        classes: the class names that are used.
        raw: what the source said.
    """

    def __init__(self, config: DatasetConfig, task: str, classes: tuple[str, ...], raw: RawDataset) -> None:
        decisive = _DECISIVE if config.check == "decode" else _DECISIVE | {"check"}
        settings = config.model_dump(mode="json", include=decisive)
        if task != DEFAULT:  # Datasets that were prepared when there was one task keep their fingerprints.
            settings["task"] = task
        strays = (raw.older_annotations, raw.annotations_without_asset, raw.files_without_asset)
        self._digest = hashlib.sha256(json.dumps([FORMAT, settings, classes, strays], sort_keys=True).encode())
        self._prefix = config.keep_together.tags

    def add(self, item: RawItem, facts: ImageFacts) -> None:
        """Take in an item with what was found in its file; in a lasting order."""
        tags = [tag for tag in item.tags if self._prefix and tag.startswith(self._prefix)]
        annotation = (item.id, None, item.name, item.status, item.boxes, item.split, item.relative, item.size)
        content = ((*annotation, item.labels, tags), facts.sha256, facts.defect if facts.sha256 == "" else "")
        self._digest.update(_encode(content).encode())

    def __str__(self) -> str:
        """In hexadecimal."""
        return self._digest.hexdigest()
