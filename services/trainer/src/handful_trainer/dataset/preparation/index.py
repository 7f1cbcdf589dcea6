"""What a dataset is made from, as one number, and which prepared dataset came from which state of a source."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, Self

from handful_core.files import write_atomically
from handful_core.folders import is_folder
from handful_trainer.dataset.inspection.facts import ImageFacts
from handful_trainer.dataset.preparation.assets import Asset
from handful_trainer.dataset.settings import DatasetConfig
from handful_trainer.dataset.sources.base import IMAGE_SUFFIXES, RawDataset, RawItem, Source
from handful_trainer.dataset.sources.yolo.folder import CACHE_SUFFIXES
from handful_trainer.dataset.splitting.earlier import kept_file
from handful_trainer.tasks import DEFAULT

_IMAGES = tuple(f"{suffix} " for suffix in sorted(IMAGE_SUFFIXES))
"""How names of images end, with what stands behind them in a line."""


class State(NamedTuple):
    """What the names, sizes and times of change of files tell."""

    stamp: str
    """A digest of all of them."""
    images: int
    """How many are called like images."""


@dataclass(frozen=True, slots=True)
class Index:
    """One small file for each combination of source, settings and output folder."""

    path: Path
    state: State

    @classmethod
    def of(cls, config: DatasetConfig, source: Source, home: Path, output: Path | None, task: str = DEFAULT) -> Self:
        """Look at the source's files: names, sizes and times of change, nothing of their content.

        Args:
            config: the dataset's settings.
            source: where the images come from.
            home: Handful's folder.
            output: the folder that was asked for, if one was.
            task: what the dataset is for.

        Raises:
            DataError: the source is not there.
        """
        keep = kept_file(config.split.keep)
        roots = (*source.roots(), *([keep] if keep.is_file() else []))
        settings = config.model_dump(mode="json", exclude={"path", "images"})
        for name, source_name in (("csv", "csv"), ("label_studio", "label-studio")):
            if config.source != source_name:  # What was prepared before there were these is still found.
                del settings[name]
        for name in ("sources", "model", "test"):  # Nor are there always several, or reviewed ones.
            if not settings[name]:
                del settings[name]
        settings["split"] = config.split.decisive() | {"keep": config.split.keep}
        settings |= {} if task == DEFAULT else {"task": task}
        places = [str(root.resolve()) for root in roots] + [str(output.resolve()) if output else ""]
        key = hashlib.sha256(json.dumps([FORMAT, settings, places], sort_keys=True).encode()).hexdigest()
        return cls(home / "datasets" / ".index" / f"{key[:24]}.json", state_of(roots))

    def find(self) -> Path | None:
        """The dataset that was prepared from this very state, if it is still there."""
        try:
            known = json.loads(self.path.read_bytes())
        except (OSError, ValueError):
            return None
        if not isinstance(known, dict) or known.get("stamp") != self.state.stamp:
            return None
        return Path(str(known.get("folder", "")))

    def remember(self, folder: Path) -> None:
        """Write down what came of it."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(self.path, json.dumps({"stamp": self.state.stamp, "folder": str(folder.resolve())}))


def state_of(roots: Iterable[Path]) -> State:
    """Look at the names, sizes and times of change of all files."""
    digest, images = hashlib.sha256(), 0
    for root in roots:
        lines = sorted(_lines(os.fspath(root)) if root.is_dir() else [_line(root, os.fspath(root))])
        text = "\n".join([str(len(lines)), *lines])
        digest.update(text.encode(errors="surrogateescape"))
        images += sum(map(text.lower().count, _IMAGES))
    return State(digest.hexdigest(), images)


def _lines(folder: str, above: frozenset[tuple[int, int]] = frozenset()) -> list[str]:
    lines: list[str] = []
    state = os.stat(folder)  # noqa: PTH116
    here = (state.st_dev, state.st_ino)
    if here in above:
        return lines  # A link to a folder above it.
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.name.endswith(CACHE_SUFFIXES):
                continue
            if is_folder(entry):
                lines += _lines(entry.path, above | {here})
            else:
                lines.append(_line(entry, entry.path))
    return lines


def _line(place: Path | os.DirEntry[str], path: str) -> str:
    try:
        state = place.stat()
    except OSError:
        return f"{path} gone"  # A link that leads nowhere, or to itself.
    return f"{path} {state.st_size} {state.st_mtime_ns}"


FORMAT = 3
"""Raise it when `prepare` makes something else of the same input: datasets prepared before are then made anew."""

_DECISIVE = {"source", "counts", "unknown_labels", "label_rows", "polygons", "split", "keep_together", "seed"}
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
        settings["split"] = config.split.decisive()  # What comes of `keep` counts: see `split`.
        if task != DEFAULT:  # Datasets that were prepared when there was one task keep their fingerprints.
            settings["task"] = task
        accounts = [account.as_json() for account in raw.accounts]  # They stand in the report.
        self._digest = hashlib.sha256(json.dumps([FORMAT, settings, classes, accounts], sort_keys=True).encode())
        self._prefix = config.keep_together.tags

    def add(self, item: RawItem, facts: ImageFacts) -> None:
        """Take in an item with what was found in its file; in a lasting order."""
        tags = [tag for tag in item.tags if self._prefix and tag.startswith(self._prefix)]
        annotation = (item.id, None, item.name, item.status, item.boxes, item.split, item.relative, item.size)
        group = [item.group] if item.group else []  # Sources without groups keep their fingerprints.
        content = ((*annotation, item.labels, tags, *group), facts.sha256, facts.defect if facts.sha256 == "" else "")
        self._digest.update(_encode(content).encode())

    def split(self, assets: Iterable[Asset]) -> None:
        """Take in which split each asset is in, in the order in which they were added."""
        self._digest.update(_encode([(asset.split, asset.alike) for asset in assets]).encode())

    def __str__(self) -> str:
        """In hexadecimal."""
        return self._digest.hexdigest()
