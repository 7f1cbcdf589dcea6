"""Which split each image was in before: what keeps a test image a test image when the dataset grows.

A file `splits.csv` (sha256 of the image, split) lies in each prepared folder. Handful's folder has one for each dataset
and way of sharing out, with every image that was ever in it.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from filelock import FileLock

from handful_core.console import say
from handful_core.files import write_atomically
from handful_trainer.dataset.errors import DamagedFileError, MissingSourceError
from handful_trainer.dataset.preparation.assets import Asset
from handful_trainer.dataset.prepared import ASSETS
from handful_trainer.dataset.settings import DatasetConfig
from handful_trainer.dataset.sources.base import SPLIT_WORDS, SplitName
from handful_trainer.dataset.splitting.assign import Earlier

SPLITS_FILE = "splits.csv"
AUTO, NONE = "auto", "none"
_COLUMNS = ("sha256", "split")
_SHA256 = re.compile(r"[0-9a-f]{64}")


class SplitHistory(NamedTuple):
    """Where images were before, and where it is written down."""

    earlier: Earlier
    path: Path | None
    """The file of this dataset in Handful's folder; None if nothing is to be remembered."""
    pinned: bool = False
    """True if `earlier` is somebody else's: it changes nothing of what is known here."""

    @classmethod
    def of(cls, config: DatasetConfig, home: Path) -> SplitHistory:
        """What `dataset.split.keep` names.

        Raises:
            MissingSourceError: it names a file that is not there.
            DamagedFileError: the file is none of this kind.
        """
        keep = config.split.keep
        if keep == NONE:
            return cls({}, None)
        path = home / "splits" / f"{config.title}-{_key(config)}.csv"
        if keep == AUTO:
            return cls(read_splits(path) if path.is_file() else _of_older_release(config, home), path)
        return cls(read_splits(kept_file(keep)), path, pinned=True)

    def remember(self, assets: Iterable[Asset]) -> None:
        """Add where images are now. What is known of an image stays, unless its source moved it."""
        if self.path is None:
            return
        now = assigned_splits(assets, self.earlier)
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(f"{self.path}.lock"):
            known = read_splits(self.path) if self.path.is_file() else {}
            both = now | known if self.pinned else known | now
            if both != known:
                write_splits(self.path, both)


def _of_older_release(config: DatasetConfig, home: Path) -> Earlier:
    """The splits of the newest dataset of this name that was prepared before splits were written down, once."""
    if any((home / "splits").glob(f"{config.title}-????????.csv")):
        return {}
    folders = [path.parent for path in (home / "datasets").glob(f"{config.title}-????????????/{ASSETS}")]
    older = [folder for folder in folders if not (folder / SPLITS_FILE).exists()]
    if not older:
        return {}
    newest = max(older, key=lambda folder: folder.stat().st_mtime)
    say(f"images stay in the splits that they have in {newest.name} (dataset.split.keep=none shares them out anew)")
    return dict(_listed_splits(newest / ASSETS))


def _listed_splits(path: Path) -> Iterator[tuple[str, SplitName]]:
    """What a prepared folder's list of assets says: images lie in a folder named after their split."""
    for line in path.read_text(encoding="utf-8").splitlines():
        entry = json.loads(line)
        parts = Path(entry.get("image") or "").parts
        split = next((SPLIT_WORDS[part] for part in parts if part in SPLIT_WORDS), None)
        if split:
            yield str(entry["sha256"]), split


def kept_file(keep: str) -> Path:
    """The file that `dataset.split.keep` names: itself, or the one in a prepared folder."""
    path = Path(keep)
    return path / SPLITS_FILE if path.is_dir() else path


def assigned_splits(assets: Iterable[Asset], earlier: Earlier) -> dict[str, SplitName]:
    """The split by sha256 of all images; those that are left out for now keep the one that they had."""
    found: dict[str, SplitName] = {}
    for asset in assets:
        split = asset.split or earlier.get(asset.facts.sha256)
        if split and asset.outcome in {"usable", "alike"}:
            found[asset.facts.sha256] = split
    return found


def read_splits(path: Path) -> dict[str, SplitName]:
    """Read a `splits.csv`.

    Raises:
        MissingSourceError: it is not there.
        DamagedFileError: a line is no sha256 and split.
    """
    try:
        rows = list(csv.reader(io.StringIO(path.read_text(encoding="utf-8"))))
    except (FileNotFoundError, NotADirectoryError):
        raise MissingSourceError(
            f"{path} does not exist", "dataset.split.keep names a splits.csv or a prepared folder, auto or none"
        ) from None
    except (UnicodeDecodeError, csv.Error) as error:
        raise DamagedFileError(
            f"{path} is no {SPLITS_FILE} ({error})", "name another with dataset.split.keep"
        ) from None
    if not rows or tuple(rows[0]) != _COLUMNS:
        raise DamagedFileError(
            f"{path} has not the columns {','.join(_COLUMNS)}", "name a splits.csv with dataset.split.keep"
        )
    found: dict[str, SplitName] = {}
    for number, row in enumerate(rows[1:], 2):
        split = SPLIT_WORDS.get(row[1]) if len(row) == 2 and _SHA256.fullmatch(row[0]) else None
        if split is None:
            raise DamagedFileError(f"{path}, line {number} is no sha256 and split", "correct or remove the line")
        found[row[0]] = split
    return found


def write_splits(path: Path, splits: Mapping[str, SplitName]) -> None:
    """Write a `splits.csv`, in the order of the hashes."""
    lines = [f"{sha256},{split}\n" for sha256, split in sorted(splits.items())]
    write_atomically(path, "".join([f"{','.join(_COLUMNS)}\n", *lines]))


def _key(config: DatasetConfig) -> str:
    """What a way of sharing out is known by: whoever changes proportions or seed wants another split."""
    shares = config.split.model_dump(mode="json", exclude={"keep"})
    way = [shares, config.seed, config.keep_together.model_dump(mode="json")]
    return hashlib.sha256(json.dumps(way, sort_keys=True).encode()).hexdigest()[:8]
