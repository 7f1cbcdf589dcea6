"""Remembers which prepared dataset came from which state of a source, so that a second run need not read the images."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, Self

from handful_core.files import write_atomically
from handful_trainer.dataset.preparation.fingerprint import FORMAT
from handful_trainer.dataset.settings import DatasetConfig
from handful_trainer.dataset.sources.base import IMAGE_SUFFIXES, Source
from handful_trainer.dataset.sources.yolo_files import CACHE_SUFFIXES
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
        roots = source.roots()
        settings = config.model_dump(mode="json", exclude={"path", "images"})
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


def _lines(folder: str) -> list[str]:
    lines = []
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.name.endswith(CACHE_SUFFIXES):
                continue
            if entry.is_dir():
                lines += _lines(entry.path)
            else:
                lines.append(_line(entry, entry.path))
    return lines


def _line(place: Path | os.DirEntry[str], path: str) -> str:
    try:
        state = place.stat()
    except FileNotFoundError:
        return f"{path} gone"  # A link that leads nowhere.
    return f"{path} {state.st_size} {state.st_mtime_ns}"
