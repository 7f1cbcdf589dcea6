"""What of a pull is here already: one line for each file that came whole."""

from __future__ import annotations

import json
import threading
from pathlib import Path
from typing import Any, NamedTuple

from handful_trainer.dataset.picsellia.listing import ListedAsset


class Entry(NamedTuple):
    """A file that came whole."""

    content: str
    """`ListedAsset.content` at that time."""
    size: int
    """Bytes."""


class DownloadIndex:
    """A file of lines that only grows, so that a pull that was killed loses no more than its last line."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._entries = dict(_read(path))

    def has(self, asset: ListedAsset, file: Path) -> bool:
        """Is this asset's file here, whole and still the same?"""
        known = self._entries.get(asset.id)
        if known is None or known.content != asset.content:
            return False
        try:
            return file.stat().st_size == known.size
        except FileNotFoundError:
            return False

    def add(self, asset: ListedAsset, size: int) -> None:
        """Note that an asset's file came. May be called by several threads."""
        entry = Entry(asset.content, size)
        line = json.dumps({"asset": asset.id, **entry._asdict()})
        with self._lock, self._path.open("a", encoding="utf-8") as lines:
            self._entries[asset.id] = entry
            lines.write(line + "\n")

    def keep(self, ids: set[str]) -> None:
        """Forget all other assets."""
        self._entries = {asset_id: entry for asset_id, entry in self._entries.items() if asset_id in ids}
        draft = self._path.with_suffix(".new")
        lines = [json.dumps({"asset": asset_id, **entry._asdict()}) + "\n" for asset_id, entry in self._entries.items()]
        draft.write_text("".join(lines), encoding="utf-8")
        draft.replace(self._path)


def _read(path: Path) -> list[tuple[str, Entry]]:
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    except FileNotFoundError:
        return []
    return [found for line in lines if (found := _entry(line))]


def _entry(line: str) -> tuple[str, Entry] | None:
    """The line's content, None where it broke off: that file is fetched again."""
    try:
        values: Any = json.loads(line)
        return str(values["asset"]), Entry(str(values["content"]), int(values["size"]))
    except (ValueError, KeyError, TypeError):
        return None
