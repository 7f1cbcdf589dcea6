"""Writing a prepared dataset: all of it, or nothing."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any

from handful_trainer.dataset.errors import DiskSpaceError, OutputExistsError
from handful_trainer.dataset.inspection.facts import ImageFacts, WriteMode
from handful_trainer.dataset.preparation.assets import Asset, PreparedAssets
from handful_trainer.dataset.preparation.link import FileLinker, ImageEntry, place_images
from handful_trainer.dataset.prepared import ASSETS, REPORT
from handful_trainer.dataset.splitting.groups import named_groups
from handful_trainer.tasks.label_format import LabelFormat
from handful_trainer.workers import WorkerPool

_UNFINISHED = ".unfinished-"
_FORGOTTEN = 24 * 3600
"""Seconds after which an unfinished folder belongs to nobody."""
_PER_IMAGE = 4096 + 512
"""Bytes of a label file's block and of the entries in folders and lists."""
_SPARE = 32 << 20
"""Bytes for the report and whatever else."""
_AT_ONCE = 20_000
"""Files that take next to no time: half a second for all of them."""


@contextlib.contextmanager
def whole_folder(target: Path) -> Iterator[Path]:
    """A temporary folder beside `target` that takes its name when all went well, and vanishes otherwise.

    A run that was killed leaves an unfinished folder under another name; the next one a day later removes it.

    Raises:
        OutputExistsError: `target` came into being meanwhile.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    _remove_forgotten(target.parent)
    folder = Path(tempfile.mkdtemp(prefix=_UNFINISHED, dir=target.parent))
    try:
        yield folder
        folder.chmod(0o777 & ~_umask())
        if target.is_dir() and not any(target.iterdir()):
            target.rmdir()
        try:
            folder.rename(target)
        except OSError as error:
            if not target.exists():
                raise
            raise OutputExistsError(f"{target} came into being meanwhile", "run it again") from error
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def make_folders(folder: Path, labels: LabelFormat, classes: Sequence[str]) -> None:
    """The folders of the task's layout."""
    for name in labels.folders(classes):
        (folder / name).mkdir(parents=True)


def write_files(
    folder: Path, prepared: PreparedAssets, pool: WorkerPool, advance: Callable[[int], object]
) -> Iterator[None]:
    """Begin to write images and labels; take what is given back to its end to wait for it.

    What takes next to no time is one piece of work for links and one for labels: two that make files in one folder
    would wait for each other.

    Args:
        folder: where to.
        prepared: all assets, and the task that knows the layout.
        pool: those who do it.
        advance: told of each image.

    Raises:
        DiskSpaceError: they will not fit.
    """
    classes, labels = prepared.classes, prepared.labels
    usable = [asset for asset in prepared.assets if asset.split and asset.item.path]
    linker = FileLinker()
    copies = _check_space(folder, usable, linker)
    images = [ImageEntry(str(a.item.path), labels.image_name(a, classes), a.facts.write_mode) for a in usable]
    quick = [image for image in images if image.write_mode is WriteMode.LINK and not copies]
    slow = [image for image in images if image.write_mode is not WriteMode.LINK or copies]
    place = partial(place_images, str(folder), linker)
    write = partial(labels.write, str(folder))
    return chain(
        pool.run(write, labels.entries(usable), again=partial(write, again=True), chunk=_AT_ONCE),
        pool.run(place, quick, advance, again=partial(place, again=True), chunk=_AT_ONCE),
        pool.run(place, slow, advance, again=partial(place, again=True)),
    )


def write_list(folder: Path, prepared: PreparedAssets) -> None:
    """Write the list of assets."""
    encode = json.JSONEncoder(check_circular=False).encode
    lines = "".join([f"{encode(_line(asset, prepared))}\n" for asset in prepared.assets])
    (folder / ASSETS).write_text(lines, encoding="utf-8", newline="\n")


def write_report(folder: Path, report: dict[str, Any]) -> None:
    """Write report.json."""
    text = json.dumps(report, indent=2) + "\n"
    (folder / REPORT).write_text(text, encoding="utf-8", newline="\n")


def _line(asset: Asset, prepared: PreparedAssets) -> dict[str, Any]:
    """A line of the list in which every asset is accounted for."""
    labels, groups = prepared.labels, named_groups(asset, prepared.config.keep_together)
    status = {"undecodable": asset.facts.defect, "not_accepted": asset.item.status}
    return {
        "id": asset.item.id,
        "name": asset.item.name,
        "status": status.get(asset.outcome, asset.outcome),
        "image": labels.image_name(asset, prepared.classes) if asset.split else None,
        "sha256": asset.facts.sha256,
        "phash": _written_phash(asset.facts),
        "width": asset.facts.width,
        "height": asset.facts.height,
        labels.noun: len(asset.kept),
        **({"group": groups[-1][1]} if groups else {}),
    }


def _written_phash(facts: ImageFacts) -> str | None:
    """16 hexadecimal digits; nothing for an image that is too flat to have one, None where it was not decoded."""
    if facts.defect or not facts.decoded:
        return None
    return f"{facts.phash:016x}" if facts.phash >= 0 else ""


def _check_space(folder: Path, usable: Sequence[Asset], linker: FileLinker) -> bool:
    """Is there room for them? Tells whether images have to be copied, because they cannot be linked."""
    linked = next((a.item.path for a in usable if a.facts.write_mode is WriteMode.LINK and a.item.path), None)
    copies = linked is not None and linker.only_copies(linked, folder)
    written = sum(_written_bytes(a.facts) for a in usable if a.facts.write_mode is not WriteMode.LINK)
    copied = sum(a.facts.size for a in usable if a.facts.write_mode is WriteMode.LINK) if copies else 0
    needed = written + copied + len(usable) * _PER_IMAGE + _SPARE
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise DiskSpaceError(
            f"the dataset needs {needed / 1e6:.0f} MB on the disk of {folder.parent}, {free / 1e6:.0f} MB are free",
            "make room, or set HANDFUL_HOME or --output to another disk",
        )
    return copies


def _written_bytes(facts: ImageFacts) -> int:
    """About as many as an image takes that is written anew. Of a photo, PNG saves a third; HEIC and AVIF are small."""
    as_png = facts.width * facts.height * 2 if facts.format in {"AVIF", "HEIC"} else 0
    return max(facts.size * 2, as_png)


def _remove_forgotten(parent: Path) -> None:
    for folder in parent.glob(f"{_UNFINISHED}*"):
        with contextlib.suppress(FileNotFoundError):
            if time.time() - folder.stat().st_mtime > _FORGOTTEN:
                shutil.rmtree(folder, ignore_errors=True)


def _umask() -> int:
    """The permissions that new folders go without; mkdtemp ignores them. It can only be read by setting it."""
    mask = os.umask(0o077)
    os.umask(mask)
    return mask
