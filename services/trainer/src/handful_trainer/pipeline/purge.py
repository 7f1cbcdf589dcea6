"""`handful data purge`: removes what this machine still has of captured pictures that somebody deleted.

These are the files of the source `reviewed`, the datasets that were prepared with such a picture, and what trainings on
these drew of their images. A dataset goes as a whole: it has the picture in its caches too, and without the picture it
would be another one than its fingerprint says. `handful data prepare` makes a new one.
"""

from __future__ import annotations

import contextlib
import json
import shutil
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from handful_core.errors import DataError, ResourceError
from handful_core.review import ReviewStore
from handful_trainer.dataset.prepared import ASSETS, REPORT
from handful_trainer.dataset.sources.base import captured_picture
from handful_trainer.dataset.sources.reviewed import forget, kept_files
from handful_trainer.pipeline.run_folder import RunFolder


@dataclass(frozen=True, slots=True)
class DatasetCopy:
    """A prepared dataset that holds deleted pictures."""

    folder: Path
    pictures: int
    in_use: bool
    """A training runs on it: it stays until that has ended."""


@dataclass(frozen=True, slots=True)
class Purged:
    """What was found, and removed unless it was only looked for."""

    datasets: tuple[DatasetCopy, ...]
    files: int
    """Files of the source."""
    unknown: int
    """Captured pictures that MLflow does not have, and of which it does not know that they were deleted: they stay."""
    removed: bool

    def as_json(self) -> dict[str, Any]:
        """For another program."""
        return asdict(self) | {"datasets": [asdict(each) | {"folder": str(each.folder)} for each in self.datasets]}

    def __str__(self) -> str:
        """For people."""
        verb = "removed" if self.removed else "would remove"
        lines = [
            f"{each.folder}: a training uses it; run this again when that has ended"
            if each.in_use
            else f"{verb} {each.folder}, which has {each.pictures} deleted pictures"
            for each in self.datasets
        ]
        if self.files:
            lines.append(f"{verb} {self.files} files of deleted pictures that were fetched from MLflow")
        if self.unknown:
            lines.append(f"{self.unknown} captured pictures are unknown to this MLflow, and stay: is it the right one?")
        return "\n".join(lines) or "no copy of a deleted picture is here"


def purge(store: ReviewStore, home: Path, others: Sequence[Path] = (), *, dry_run: bool = False) -> Purged:
    """Remove copies of deleted pictures.

    Args:
        store: knows which pictures were deleted.
        home: Handful's folder.
        others: prepared datasets outside of it.
        dry_run: only look.

    Raises:
        DataError: one of the others was not prepared by Handful.
        ResourceError: a folder cannot be removed.
        UnavailableError: MLflow does not answer: nothing is removed.
    """
    pictures = {folder: set(_pictures(folder)) for folder in _datasets(home, others)}
    files = kept_files(home)
    asked = set().union(*pictures.values(), files)
    fates = store.fates(asked) if asked else {}
    gone = {each for each in asked if fates[each] == "deleted"}
    copies = tuple(
        DatasetCopy(folder, len(found & gone), _in_use(home, folder))
        for folder, found in pictures.items()
        if found & gone
    )
    old = sorted(gone & files.keys())
    if not dry_run:
        for copy in copies:
            if not copy.in_use:
                _remove(copy.folder, home)
        forget(files[each] for each in old)
    unknown = sum(fate == "unknown" for fate in fates.values())
    return Purged(copies, len(old), unknown, removed=not dry_run)


def _datasets(home: Path, others: Iterable[Path]) -> list[Path]:
    """Folders that Handful prepared."""
    for folder in others:
        if not _is_prepared(folder):
            raise DataError(f"{folder} was not prepared by Handful", "name a folder of: handful data prepare --output")
    own = [path.parent for path in (home / "datasets").glob(f"*/{ASSETS}") if _is_prepared(path.parent)]
    return sorted({folder.resolve() for folder in (*own, *others)})


def _is_prepared(folder: Path) -> bool:
    try:
        report = json.loads((folder / REPORT).read_bytes())
    except (OSError, ValueError):
        return False
    return isinstance(report, dict) and "fingerprint" in report and (folder / ASSETS).is_file()


def _pictures(folder: Path) -> Iterator[str]:
    """Captured pictures that have an image in a dataset."""
    with (folder / ASSETS).open(encoding="utf-8", errors="replace") as lines:
        for line in lines:
            with contextlib.suppress(ValueError, KeyError, TypeError):  # A damaged line names none.
                asset = json.loads(line)
                if asset["image"] and (found := captured_picture(str(asset["id"]))):
                    yield found


def _runs(home: Path, dataset: Path) -> Iterator[RunFolder]:
    """Trainings on a dataset, of searches too."""
    for state in (*home.glob("runs/*/state.json"), *home.glob("tune/*/runs/*/state.json")):
        folder = RunFolder(state.parent)
        with contextlib.suppress(DataError):  # A damaged one cannot go on.
            if folder.state().dataset.resolve() == dataset:
                yield folder


def _in_use(home: Path, dataset: Path) -> bool:
    for folder in _runs(home, dataset):
        try:
            with folder.locked():
                pass
        except ResourceError:
            return True
    return False


def _remove(dataset: Path, home: Path) -> None:
    """Remove a dataset, and what trainings drew of its images.

    The list of assets goes last: what an interruption leaves is found again.
    """
    try:
        for folder in _runs(home, dataset):
            for sheet in folder.path.glob("*/*.jpg"):
                sheet.unlink()
        for path in dataset.iterdir():
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            elif path.name not in {ASSETS, REPORT}:
                path.unlink()
        shutil.rmtree(dataset)
    except OSError as error:
        raise ResourceError(
            f"{dataset} cannot be removed ({error.strerror or error})", "correct its permissions, and run it again"
        ) from error
