"""Which split each image was in before: what keeps a test image a test image when the dataset grows.

A file `splits.csv` (sha256 of the image, split, perceptual hash) lies in each prepared folder. Handful's folder has one
for each dataset and way of sharing out, with every image that was ever in it.
"""

from __future__ import annotations

import contextlib
import csv
import hashlib
import io
import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from filelock import FileLock

from handful_core.console import say
from handful_core.files import write_atomically
from handful_trainer.dataset.errors import DamagedFileError, EmptyDatasetError, MissingSourceError
from handful_trainer.dataset.preparation.assets import Asset
from handful_trainer.dataset.prepared import ASSETS
from handful_trainer.dataset.settings import DatasetConfig
from handful_trainer.dataset.sources.base import SPLIT_WORDS
from handful_trainer.dataset.splitting.assign import Earlier, Placed

SPLITS_FILE = "splits.csv"
AUTO, NONE = "auto", "none"
_COLUMNS = ("sha256", "split", "phash")
_SHA256, _PHASH = re.compile(r"[0-9a-f]{64}"), re.compile(r"([0-9a-f]{16})?")


class SplitHistory(NamedTuple):
    """Where images were before, and where it is written down."""

    earlier: Earlier
    path: Path | None
    """The file of this dataset in Handful's folder; None if nothing is to be remembered."""
    pinned: str = ""
    """The file that `dataset.split.keep` names: it changes nothing of what is known here. Empty if it names none."""

    @classmethod
    @contextlib.contextmanager
    def locked(cls, config: DatasetConfig, home: Path, folder: Path | None = None) -> Iterator[SplitHistory]:
        """What `dataset.split.keep` names; another process waits until this one has remembered what came of it.

        Args:
            config: the dataset's settings.
            home: Handful's folder.
            folder: where splits are remembered instead of in Handful's folder; then nothing else of that counts.

        Raises:
            MissingSourceError: it names a file that is not there.
            DamagedFileError: the file is none of this kind.
        """
        keep = config.split.keep
        if keep == NONE:
            yield cls({}, None)
            return
        path = history_file(config, folder or home / "splits")
        path.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(f"{path}.lock"):
            if keep != AUTO:
                yield cls(read_splits(kept_file(keep)), path, pinned=str(kept_file(keep)))
            elif path.is_file():
                yield cls(read_splits(path), path)
            else:
                yield cls({} if folder else _of_other_folder(config, home), path)

    def check(self, assets: Iterable[Asset]) -> None:
        """Refuse a split that was named and is one of other images.

        Raises:
            EmptyDatasetError: it has none of the images.
        """
        usable = [asset for asset in assets if asset.outcome == "usable"]
        known = sum(asset.facts.sha256 in self.earlier for asset in usable)
        if not self.pinned or known * 2 >= min(len(usable), len(self.earlier)) > 0:
            return
        if not known:
            raise EmptyDatasetError(
                f"{self.pinned} has none of the {len(usable)} images", "name the split of this dataset, auto or none"
            )
        say(f"warning: {self.pinned} has {known} of the {len(usable)} images alone: is it the split of this dataset?")

    def remember(self, assets: Iterable[Asset]) -> None:
        """Add where images are now. What is known of an image stays, unless its source moved it."""
        if self.path is None:
            return
        now = assigned_splits(assets, self.earlier)
        known = read_splits(self.path) if self.path.is_file() else {}
        both = now | known if self.pinned else known | now
        if both != known:
            write_splits(self.path, both)


def history_file(config: DatasetConfig, folder: Path) -> Path:
    """The file that remembers the splits of a dataset and way of sharing out."""
    return folder / f"{config.title}-{_key(config)}.csv"


def is_remembered(config: DatasetConfig, home: Path) -> bool:
    """Whether Handful's folder knows any splits of a dataset of this name."""
    return any((home / "splits").glob(f"{config.title}-????????.csv")) or bool(_folders(config, home))


def restore_history(config: DatasetConfig, home: Path, splits: Path) -> None:
    """Remember the splits in a file as those of a dataset of which nothing is remembered.

    Raises:
        DamagedFileError: the file is none of this kind.
    """
    path = history_file(config, home / "splits")
    path.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(f"{path}.lock"):
        if not path.is_file():
            write_splits(path, read_splits(splits))


def _folders(config: DatasetConfig, home: Path) -> list[Path]:
    """The prepared datasets of this name."""
    return [path.parent for path in (home / "datasets").glob(f"{config.title}-????????????/{ASSETS}")]


def _of_other_folder(config: DatasetConfig, home: Path) -> Earlier:
    """The splits of the newest dataset of this name, where nothing is written down for the name, once.

    Releases before 0.2 wrote no splits, and somebody may have removed them.
    """
    if any((home / "splits").glob(f"{config.title}-????????.csv")):
        return {}
    folders = _folders(config, home)
    if not folders:
        return {}
    newest = max(folders, key=lambda folder: folder.stat().st_mtime)
    say(f"images stay in the splits that they have in {newest.name} (dataset.split.keep=none shares them out anew)")
    listed = newest / SPLITS_FILE
    return read_splits(listed) if listed.is_file() else dict(_listed_splits(newest / ASSETS))


def _listed_splits(path: Path) -> Iterator[tuple[str, Placed]]:
    """What a prepared folder's list of assets says: images lie in a folder named after their split."""
    for line in path.read_text(encoding="utf-8").splitlines():
        entry = json.loads(line)
        parts = Path(entry.get("image") or "").parts
        split = next((SPLIT_WORDS[part] for part in parts if part in SPLIT_WORDS), None)
        if split:
            yield str(entry["sha256"]), Placed(split, int(entry.get("phash") or "-1", 16))


def kept_file(keep: str) -> Path:
    """The file that `dataset.split.keep` names: itself, or the one in a prepared folder."""
    path = Path(keep)
    return path / SPLITS_FILE if path.is_dir() else path


def assigned_splits(assets: Iterable[Asset], earlier: Earlier) -> dict[str, Placed]:
    """Where all images are, by sha256; those that are left out for now keep the split that they had."""
    found: dict[str, Placed] = {}
    for asset in assets:
        before = earlier.get(asset.facts.sha256)
        split = asset.split or (before.split if before else None)
        if split and asset.outcome in {"usable", "alike"}:
            found[asset.facts.sha256] = Placed(split, asset.facts.phash)
    return found


def read_splits(path: Path) -> dict[str, Placed]:
    """Read a `splits.csv`. The column phash may be left out.

    Raises:
        MissingSourceError: it is not there.
        DamagedFileError: a line is no sha256, split and perceptual hash, or contradicts another.
    """
    try:
        rows = list(csv.reader(io.StringIO(path.read_text(encoding="utf-8"))))
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
        raise MissingSourceError(
            f"{path} does not exist", "dataset.split.keep names a splits.csv or a prepared folder, auto or none"
        ) from None
    except (UnicodeDecodeError, csv.Error) as error:
        raise DamagedFileError(f"{path} is no text ({error})", "name a splits.csv with dataset.split.keep") from None
    if not rows or tuple(rows[0]) not in {_COLUMNS, _COLUMNS[:2]}:
        raise DamagedFileError(
            f"{path} has not the columns {','.join(_COLUMNS)}", "name a splits.csv with dataset.split.keep"
        )
    found: dict[str, Placed] = {}
    for number, row in enumerate(rows[1:], 2):
        placed = _placed(row) if len(row) == len(rows[0]) else None
        if placed is None or found.setdefault(row[0], placed).split != placed.split:
            what = "is no sha256 and split" if placed is None else f"contradicts another line of {row[0][:12]}…"
            raise DamagedFileError(f"{path}, line {number} {what}", "correct or remove the line")
    return found


def _placed(row: Sequence[str]) -> Placed | None:
    split = SPLIT_WORDS.get(row[1])
    phash = row[2] if len(row) > 2 else ""
    if split is None or not _SHA256.fullmatch(row[0]) or not _PHASH.fullmatch(phash):
        return None
    return Placed(split, int(phash, 16) if phash else -1)


def write_splits(path: Path, splits: Mapping[str, Placed]) -> None:
    """Write a `splits.csv`, in the order of the hashes."""
    lines = [
        f"{sha256},{placed.split},{f'{placed.phash:016x}' if placed.phash >= 0 else ''}\n"
        for sha256, placed in sorted(splits.items())
    ]
    write_atomically(path, "".join([f"{','.join(_COLUMNS)}\n", *lines]))


def _key(config: DatasetConfig) -> str:
    """What a way of sharing out is known by: whoever changes proportions or seed wants another split."""
    way = [config.split.decisive(), config.seed, config.keep_together.model_dump(mode="json")]
    return hashlib.sha256(json.dumps(way, sort_keys=True).encode()).hexdigest()[:8]
