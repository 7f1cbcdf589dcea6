"""From a source to a dataset that is ready to train on."""

from __future__ import annotations

import contextlib
import dataclasses
import gc
import logging
import shutil
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from threading import Thread

from handful_core.console import progress, say
from handful_core.errors import DataError
from handful_trainer.dataset.accounts import check_balance, check_used
from handful_trainer.dataset.errors import EmptyDatasetError, OutputExistsError
from handful_trainer.dataset.inspection.inspect import inspect_all
from handful_trainer.dataset.preparation.assets import (
    Asset,
    PreparedAssets,
    account_for,
    check_labels,
    classify_asset,
    with_corrections,
)
from handful_trainer.dataset.preparation.index import Fingerprint, Index
from handful_trainer.dataset.preparation.write import make_folders, whole_folder, write_files, write_list, write_report
from handful_trainer.dataset.prepared import REPORT, PreparedDataset
from handful_trainer.dataset.report.build import build_report
from handful_trainer.dataset.report.page import template, write_page
from handful_trainer.dataset.settings import DatasetConfig
from handful_trainer.dataset.sources.base import RawDataset, RawItem
from handful_trainer.dataset.sources.registry import open_source
from handful_trainer.dataset.splitting.assign import assign_splits
from handful_trainer.dataset.splitting.earlier import (
    NONE,
    SPLITS_FILE,
    SplitHistory,
    assigned_splits,
    history_file,
    write_splits,
)
from handful_trainer.tasks import DEFAULT, all_tasks, get_task
from handful_trainer.tasks.base import Task
from handful_trainer.tasks.label_format import LabelFormat
from handful_trainer.workers import WorkerPool

_log = logging.getLogger(__name__)
_SHOWN = 12
_HINTS = {
    "of an unknown class": "check dataset.classes against the labels of the source",
    "outside the image": "check that the annotations belong to these images, and are in the unit that the format has",
    "without an annotation": "check dataset.path, and that the images are annotated",
    "pending": "accept the annotations",
    "missing": "check where the images lie",
}
"""What to do when nothing can be used, by the commonest reason."""


def prepare(
    config: DatasetConfig,
    home: Path,
    output: Path | None = None,
    *,
    task: str = DEFAULT,
    splits: Path | None = None,
) -> PreparedDataset:
    """Validate, clean, split and write a dataset, once: the same input and settings give the same folder.

    Args:
        config: where the images come from and what is made of them.
        home: Handful's folder; the dataset goes to `datasets/<name>-<fingerprint>` in it.
        output: another folder for it.
        task: what it is for: decides what counts of an annotation, and the layout on disk.
        splits: folder that remembers which split each image is in, instead of Handful's.

    Raises:
        DataError: the source is missing, damaged, or nothing in it can be used.
        ConfigError: the output folder holds something else.
        ResourceError: the disk is full.
    """
    source = open_source(config, home)
    index = Index.of(config, source, home, output, task)
    remembered = splits is None or config.split.keep == NONE or history_file(config, splits).is_file()
    folder = index.find() if remembered else None
    if folder is not None and (known := _opened(folder)) and known.is_whole():
        _log.info("unchanged since it was prepared: %s", folder)
        return known
    with _uncollected(), contextlib.closing(WorkerPool(index.state.images)) as pool:
        dataset = _make(config, source.read(), get_task(task), pool, home, output, splits)
    index.remember(dataset.root)
    for warning in dataset.report["warnings"][:_SHOWN]:
        say(f"warning: {warning}")
    return dataset


@contextlib.contextmanager
def _uncollected() -> Iterator[None]:
    """Spare Python's garbage collector the work: it would look through all assets again and again, and all stay."""
    before = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if before:
            gc.enable()


def _make(
    config: DatasetConfig,
    raw: RawDataset,
    task: Task,
    pool: WorkerPool,
    home: Path,
    output: Path | None,
    splits: Path | None,
) -> PreparedDataset:
    Thread(target=template).start()  # It is compiled while images are decoded.
    check_balance(raw.accounts)
    check_used(raw.accounts)
    items = sorted(_shared_out(raw.items, config), key=lambda item: item.id)
    raw = _checked_task(raw, task)
    classes = config.classes or raw.classes or _no_classes(items, task.labels)
    class_ids = {name: class_id for class_id, name in enumerate(classes)}
    assets, fingerprint = _inspected(config, raw, task, pool, items, class_ids)
    assets = with_corrections(assets)
    task.labels.check(config, assets)
    if config.unknown_labels == "refuse":
        check_labels(assets, class_ids, task.labels.noun)
    _check_usable(assets, task.labels)
    with SplitHistory.locked(config, home, splits) as history:
        history.check(assets)
        assets = assign_splits(assets, config, history.earlier)
        history.remember(assets)
    fingerprint.split(assets)
    accounts = (*raw.accounts, *account_for(assets, task.labels))
    prepared = PreparedAssets(config, task, classes, raw, assets, str(fingerprint), accounts)
    target = output or home / "datasets" / f"{config.title}-{prepared.fingerprint[:12]}"
    return _written(target, prepared, history, pool)


def _shared_out(items: Sequence[RawItem], config: DatasetConfig) -> list[RawItem]:
    """The items, without the source's own splits where these do not count."""
    if config.split.source == "keep":
        return list(items)
    return [item._replace(split=None) for item in items]


def _written(target: Path, prepared: PreparedAssets, history: SplitHistory, pool: WorkerPool) -> PreparedDataset:
    """The dataset at `target`, written if it is not there yet."""
    if known := _existing(target, prepared.fingerprint):
        return known
    try:
        _write(target, prepared, history, pool)
    except OutputExistsError:  # Another run may have prepared the same meanwhile.
        return _existing(target, prepared.fingerprint) or PreparedDataset.open(target)
    return PreparedDataset.open(target)


def _inspected(
    config: DatasetConfig,
    raw: RawDataset,
    task: Task,
    pool: WorkerPool,
    items: Sequence[RawItem],
    class_ids: Mapping[str, int],
) -> tuple[list[Asset], Fingerprint]:
    """All assets with what was found in their files, and the fingerprint: made while other files are still decoded."""
    fingerprint, assets = Fingerprint(config, task.name, tuple(class_ids), raw), []
    with progress() as bar:
        shown = bar.add_task("checking images", total=len(items))
        paths, decode = [item.path for item in items], config.check == "decode"
        found = inspect_all(pool, paths, lambda done: bar.advance(shown, done), decode=decode)
        for item, facts in zip(items, found, strict=True):
            fingerprint.add(item, facts)
            assets.append(classify_asset(item, facts, class_ids, task.labels))
    return assets, fingerprint


def _write(target: Path, prepared: PreparedAssets, history: SplitHistory, pool: WorkerPool) -> None:
    assets, classes, labels = prepared.assets, prepared.classes, prepared.labels
    with progress() as bar, whole_folder(target) as folder:
        shown = bar.add_task("writing dataset", total=sum(asset.split is not None for asset in assets))
        make_folders(folder, labels, classes)
        written = write_files(folder, prepared, pool, lambda done: bar.advance(shown, done))
        report = build_report(prepared)  # While the workers write.
        write_page(folder, report, assets, labels, pool)
        labels.describe(folder, classes)
        write_list(folder, prepared)
        write_splits(folder / SPLITS_FILE, assigned_splits(assets, history.earlier))
        deque(written, 0)
        write_report(folder, report)


def _opened(folder: Path) -> PreparedDataset | None:
    """A dataset that Handful prepared, None if it is gone or damaged."""
    if not (folder / REPORT).is_file():
        return None
    try:
        return PreparedDataset.open(folder)
    except DataError:
        return None


def _existing(target: Path, fingerprint: str) -> PreparedDataset | None:
    """The dataset that is already at `target`; what is left of it, if files are missing, is removed.

    Raises:
        OutputExistsError: something else is there.
    """
    if not target.exists() or (target.is_dir() and not any(target.iterdir())):
        return None
    known = _opened(target)
    if known is None and not target.name.endswith(f"-{fingerprint[:12]}"):
        raise OutputExistsError(
            f"{target} exists and is no prepared dataset, or a damaged one", "name another folder, or remove it"
        )
    if known is not None and known.fingerprint != fingerprint:
        raise OutputExistsError(
            f"{target} holds a dataset made from other images or settings", "name another folder, or remove it"
        )
    if known is not None and known.is_whole():
        return known
    say(f"{target} is damaged or lacks files: it is written anew")
    shutil.rmtree(target)
    return None


def _no_classes(items: Sequence[RawItem], labels: LabelFormat) -> tuple[str, ...]:
    names = sorted({name for item in items for name in labels.named(item)})
    found = f"the labels found are {', '.join(names[:20])}" if names else "no label was found"
    raise EmptyDatasetError("the source has no list of classes and dataset.classes is empty", f"set it; {found}")


def _checked_task(raw: RawDataset, task: Task) -> RawDataset:
    """The source, with a warning if it says that it was made for another task.

    Raises:
        EmptyDatasetError: its images have labels of another task only.
    """
    noun, items = task.labels.noun, raw.items
    if any(True for item in items for _ in task.labels.named(item)):
        if raw.made_for in {"", task.name}:
            return raw
        warning = f"the source was made for the task {raw.made_for}: see that all images have {noun}"
        return dataclasses.replace(raw, warnings=(*raw.warnings, warning))
    for other in all_tasks():
        labelled = any(True for item in items for _ in other.labels.named(item))
        if other.name != task.name and (labelled or other.name == raw.made_for):
            raise EmptyDatasetError(
                f"no image of the source has {noun}: it is made for the task {other.name}, and has {other.labels.noun}",
                f"set task: {other.name}, or name another dataset",
            )
    return raw


def _check_usable(assets: Sequence[Asset], labels: LabelFormat) -> None:
    """Refuse what nothing can be learnt from.

    Raises:
        EmptyDatasetError: no usable image, no label of any class, or fewer different images than splits.
    """
    if not assets:
        raise EmptyDatasetError("the dataset has no images", "check dataset.path")
    check_used(account_for(assets, labels), _HINTS)
    usable = [asset for asset in assets if asset.outcome == "usable"]
    if not any(asset.kept for asset in usable):
        raise EmptyDatasetError(
            f"none of the {len(usable)} usable images is labelled", "check dataset.path, and where the labels lie"
        )
    if (different := len({asset.facts.sha256 for asset in usable})) < 3:
        raise EmptyDatasetError(
            f"{different} different images can be used, train, val and test need at least one each", "add images"
        )
