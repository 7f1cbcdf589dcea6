"""What `report.json` says of a prepared dataset: every asset is counted in it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from handful_trainer.dataset.accounts import (
    ANNOTATION_RECORDS,
    IMAGE_FILES,
    NOT_LISTED,
    OF_UNLISTED_IMAGE,
    OLDER,
    count_left_out,
    few,
)
from handful_trainer.dataset.preparation.assets import Asset, PreparedAssets, identical, unknown_labels
from handful_trainer.dataset.settings import TogetherConfig, class_values
from handful_trainer.dataset.sources.base import NO_ANNOTATION, SPLITS, RawDataset, unread_splits
from handful_trainer.dataset.splitting.groups import group_assets, leaks, named_groups, source_leaks
from handful_trainer.tasks import DEFAULT
from handful_trainer.tasks.label_format import LabelFormat

_KINDS = ("truncated", "empty", "html", "noise", "garbled")
_SHOWN = 20
_FEW = 3
_STATUSES = ("pending", "refused", "skipped", NO_ANNOTATION)


def build_report(prepared: PreparedAssets) -> dict[str, Any]:
    """Counts, splits, warnings, and each defect with its asset."""
    usable, config, labels = prepared.with_outcome("usable"), prepared.config, prepared.labels
    same_content, torn = identical(usable), leaks(usable, config.keep_together)
    accounts = prepared.accounts
    report = {
        **_identity(prepared),
        **_outcomes(prepared),
        **labels.kept_counts([*usable, *prepared.with_outcome("unlabelled")]),
        "older_annotations_ignored": count_left_out(accounts, ANNOTATION_RECORDS, OLDER),
        "annotations_without_asset": count_left_out(accounts, ANNOTATION_RECORDS, OF_UNLISTED_IMAGE),
        "files_without_asset": count_left_out(accounts, IMAGE_FILES, NOT_LISTED),
        "identical_image_pairs": sum(len(same) * (len(same) - 1) // 2 for same in same_content),
        "near_duplicates": _near_duplicates(usable, config.keep_together),
        "groups": len({key for asset in usable for key in named_groups(asset, config.keep_together)}),
        **_source_splits(prepared, usable),
        "pairs_across_splits": len(torn),
        **labels.odd_counts(usable),
        "exif_rotated": sum(asset.facts.orientation != 1 for asset in usable),
        "unknown_labels": dict(sorted(unknown_labels(prepared.assets).items())),
        **_class_balance(prepared, usable),
        "accounts": [account.as_json() for account in accounts],
    }
    warnings = [
        *_undecoded(report),
        *_account_warnings(prepared),
        *warnings_of(report, prepared.assets, same_content, labels),
    ]
    shown = [f"{one.item.id} in {one.split}, {other.item.id} in {other.split}" for one, other in torn[:_SHOWN]]
    return report | {
        "warnings": warnings,
        "across_splits": shown,
        "defects": list(_defects(prepared.assets, labels)),
    }


def _identity(prepared: PreparedAssets) -> dict[str, Any]:
    """What the dataset is called, and what it is made from."""
    task, config = prepared.task, prepared.config
    return {
        **({} if task.name == DEFAULT else {"task": task.name}),
        "name": config.title,
        "fingerprint": prepared.fingerprint,
        "source": config.source,
        "names": list(prepared.classes),
        "counts": class_values(prepared.classes, config.counts),
    }


def _outcomes(prepared: PreparedAssets) -> dict[str, Any]:
    """What came of the assets."""
    usable, broken = prepared.with_outcome("usable"), prepared.with_outcome("undecodable")
    idle, unlabelled = prepared.with_outcome("not_accepted"), prepared.with_outcome("unlabelled")
    return {
        "assets": len(prepared.assets),
        "undecodable": len(broken),
        "undecodable_kinds": tally((asset.facts.defect for asset in broken), _KINDS),
        "not_accepted": tally((asset.item.status for asset in idle), _STATUSES),
        "usable_images": len(usable),
        "left_out_as_alike": len(prepared.with_outcome("alike")),
        **({"unlabelled": len(unlabelled)} if prepared.labels.empty().required else {}),
        "not_decoded": sum(not asset.facts.decoded for asset in usable),
        **_reviewed(usable),
    }


def _reviewed(usable: Sequence[Asset]) -> dict[str, Any]:
    """How many images of each split people reviewed; nothing where nobody did."""
    found = Counter(asset.split for asset in usable if asset.item.reviewed)
    return {"reviewed": {split: found[split] for split in SPLITS}} if found else {}


def _class_balance(prepared: PreparedAssets, usable: Sequence[Asset]) -> dict[str, Any]:
    """Labels by class, of all images and of each split."""
    classes, noun = prepared.classes, prepared.labels.noun
    return {
        f"{noun}_per_class": _per_class(usable, classes),
        "splits": {split: _split([a for a in usable if a.split == split], classes, noun) for split in SPLITS},
    }


def _near_duplicates(usable: Sequence[Asset], config: TogetherConfig) -> dict[str, Any]:
    """How many images look like another one that is not byte for byte the same, and in how many groups, if sought."""
    if config.near_duplicates < 0:
        return {"sought": False, "distance": -1, "groups": 0, "images": 0, "examples": []}
    only = TogetherConfig(near_duplicates=config.near_duplicates)
    found = [same for same in group_assets(usable, only) if len({asset.facts.sha256 for asset in same}) > 1]
    examples = [[asset.item.id for asset in same[:_SHOWN]] for same in found[:_SHOWN]]
    return {
        "sought": True,
        "distance": config.near_duplicates,
        "groups": len(found),
        "images": sum(map(len, found)),
        "examples": examples,
    }


def _source_splits(prepared: PreparedAssets, usable: Sequence[Asset]) -> dict[str, Any]:
    """Images of the source's own splits whose group another of them has, and those whose split does not count."""
    config, own = prepared.config, {item.id: item.split for item in prepared.raw.items}
    as_given = [asset._replace(item=asset.item._replace(split=own[asset.item.id])) for asset in usable]
    images = Counter(asset.item.split for asset in as_given)
    found = [
        {"split": split, "images": number, "of": images[split], "also_in": other}
        for (split, other), number in source_leaks(as_given, config.keep_together).items()
    ]
    ignored = config.split.source == "ignore" and images.total() - images[None]
    return ({"source_splits_ignored": ignored} if ignored else {}) | ({"source_leaks": found} if found else {})


def tally(found: Iterable[str], always: Sequence[str]) -> dict[str, int]:
    """Counts by kind: the usual kinds even if there are none of them, others if there are."""
    counted = Counter(found)
    return {kind: counted.pop(kind, 0) for kind in always} | dict(sorted(counted.items()))


def _split(assets: Sequence[Asset], classes: tuple[str, ...], noun: str) -> dict[str, Any]:
    return {
        "images": len(assets),
        f"without_{noun}": sum(not asset.kept for asset in assets),
        noun: sum(len(asset.kept) for asset in assets),
        f"{noun}_per_class": _per_class(assets, classes),
    }


def _per_class(assets: Iterable[Asset], classes: tuple[str, ...]) -> dict[str, int]:
    counted = Counter(label.class_id for asset in assets for label in asset.kept)
    return {name: counted[class_id] for class_id, name in enumerate(classes)}


def _defects(assets: Iterable[Asset], labels: LabelFormat) -> Iterator[dict[str, str]]:
    """One entry for everything that is wrong with an asset, in the order of the assets."""
    for asset in assets:
        who = {"asset": asset.item.id, "name": asset.item.name}
        if asset.facts.defect:
            yield {**who, "problem": asset.facts.defect, "detail": asset.facts.detail}
            continue
        for problem, detail in labels.problems(asset):
            yield {**who, "problem": problem, "detail": detail}


IMBALANCE = 10
"""A class with so many times fewer labels than the commonest is told."""


def warnings_of(
    report: dict[str, Any], assets: Sequence[Asset], families: Iterable[Sequence[Asset]], labels: LabelFormat
) -> list[str]:
    """Sentences for people, the gravest first.

    Args:
        report: the counts.
        assets: all assets.
        families: usable assets by content.
        labels: the task's labels.
    """
    noun = labels.noun
    usable = [asset for asset in assets if asset.outcome == "usable"]
    return [
        *_missing_classes(report, noun),
        *_leaks(report),
        *_leaks_of_source(report),
        *_left_out_as_alike(assets),
        *_imbalance(report, noun),
        *_unknown_labels(report, noun),
        *labels.warnings(report, usable),
        *_strange_images(usable, families, noun),
    ]


def _unread_splits(raw: RawDataset) -> Iterator[str]:
    """Folders of images that look like splits, where there is no other sign of one."""
    folders = _folder_names(item.path for item in raw.items if item.path) - {*raw.classes}
    if len({item.split for item in raw.items}) < 2 and (names := unread_splits(folders)):
        yield f"the folders {few(names)} look like splits and are not read as such: call them train, val and test"


def _folder_names(paths: Iterable[Path]) -> set[str]:
    """Names of the folders that images lie in, and of those above."""
    return {name for folder in {path.parent for path in paths} for name in (folder.name, folder.parent.name)}


def _account_warnings(prepared: PreparedAssets) -> Iterator[str]:
    """What was left out and smells of a mistake."""
    yield from prepared.raw.warnings
    yield from _unread_splits(prepared.raw)
    for account in prepared.accounts:
        yield from account.warnings()


def _undecoded(report: dict[str, Any]) -> Iterator[str]:
    if images := report["not_decoded"]:
        yield (
            f"{images} images were not decoded (check: structure): "
            "garbled ones among them were not found, nor images that look alike"
        )


def _missing_classes(report: dict[str, Any], noun: str) -> Iterator[str]:
    absent = [name for name, number in report[f"{noun}_per_class"].items() if not number]
    if absent:
        yield f"no image shows {_words(absent)}: the model cannot learn it"
    for split in SPLITS:
        counted = report["splits"][split][f"{noun}_per_class"]
        if lacking := [name for name, number in counted.items() if not number and name not in absent]:
            yield f"no image of {split} shows {_words(lacking)}: there are too few"


def _leaks(report: dict[str, Any]) -> Iterator[str]:
    if pairs := report["pairs_across_splits"]:
        yield (
            f"{pairs} pairs of images that are alike lie in different splits: "
            "what is measured on val and test may be better than it is"
        )


def _leaks_of_source(report: dict[str, Any]) -> Iterator[str]:
    ignored = report.get("source_splits_ignored")
    for leak in report.get("source_leaks", []):
        now = "is shared out as one" if ignored else f"is now whole in {leak['split']}"
        yield (
            f"{leak['images']} of the {leak['of']} images in the source's {leak['split']} are of a group that its "
            f"{leak['also_in']} has, too: such a group {now}"
        )


def _left_out_as_alike(assets: Sequence[Asset]) -> Iterator[str]:
    if alike := [asset for asset in assets if asset.outcome == "alike"]:
        pairs = ", ".join(f"{asset.item.id} as {asset.alike}" for asset in alike[:_FEW])
        more = f" and {len(alike) - _FEW} more" if len(alike) > _FEW else ""
        yield (
            f"{len(alike)} images are left out: by now they belong together with one of another split, where they must "
            f"not be ({pairs}{more})"
        )


def _imbalance(report: dict[str, Any], noun: str) -> Iterator[str]:
    """A class with a fraction of the labels of the commonest one."""
    counted = {name: number for name, number in report[f"{noun}_per_class"].items() if number}
    if not counted:
        return
    common = max(counted, key=lambda name: counted[name])
    rare = [name for name, number in counted.items() if number * IMBALANCE < counted[common]]
    if rare:
        counts = ", ".join(f"{name} {counted[name]}" for name in rare)
        yield f"the classes are out of balance: {common} has {counted[common]} {noun}, {counts}; label more of them"


def _unknown_labels(report: dict[str, Any], noun: str) -> Iterator[str]:
    for label, number in report["unknown_labels"].items():
        yield f"{number} {noun} of the unknown label {label!r} were left out"


def _strange_images(usable: Sequence[Asset], families: Iterable[Sequence[Asset]], noun: str) -> Iterator[str]:
    doubled = [same for same in families if len(same) > 1]
    torn = sum(len({asset.item.split for asset in same}) > 1 for same in doubled)
    if torn:
        yield f"{torn} identical images were in more than one split of the source and are now in one"
    if unlike := [same for same in doubled if len({asset.labels.content for asset in same}) > 1]:
        first = ", ".join(asset.item.id for asset in unlike[0][:_FEW])
        yield f"{len(unlike)} identical images carry different {noun} ({first}): only one of them can be right"
    resized = sum(a.item.size is not None and a.item.size != (a.facts.width, a.facts.height) for a in usable)
    if resized:
        yield f"{resized} images have another size than the source says: their {noun} may not fit"


def _words(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} or {names[-1]}"
