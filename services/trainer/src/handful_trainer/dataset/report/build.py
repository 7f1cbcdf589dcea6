"""What `report.json` says of a prepared dataset: every asset is counted in it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from handful_trainer.dataset.preparation.assets import Asset, identical, unknown_labels
from handful_trainer.dataset.report.warnings import warnings_of
from handful_trainer.dataset.settings import DatasetConfig, TogetherConfig, class_values
from handful_trainer.dataset.sources.base import NO_ANNOTATION, SPLITS, RawDataset
from handful_trainer.dataset.splitting.groups import group_assets, leaks, name_key
from handful_trainer.tasks import DEFAULT
from handful_trainer.tasks.base import LabelFormat, Task

_KINDS = ("truncated", "empty", "html", "noise", "garbled")
_SHOWN = 20
_STATUSES = ("pending", "refused", "skipped", NO_ANNOTATION)


def build_report(
    config: DatasetConfig,
    task: Task,
    classes: tuple[str, ...],
    raw: RawDataset,
    assets: Sequence[Asset],
    fingerprint: str,
) -> dict[str, Any]:
    """Counts, splits, warnings, and each defect with its asset."""
    usable = [asset for asset in assets if asset.outcome == "usable"]
    broken = [asset for asset in assets if asset.outcome == "undecodable"]
    idle = [asset for asset in assets if asset.outcome == "not_accepted"]
    labels = task.labels
    unlabelled = [asset for asset in assets if asset.outcome == "unlabelled"]
    families = identical(usable)
    torn = leaks(usable, config.keep_together)
    report: dict[str, Any] = {
        **({} if task.name == DEFAULT else {"task": task.name}),
        "name": config.title,
        "fingerprint": fingerprint,
        "source": config.source,
        "names": list(classes),
        "counts": class_values(classes, config.counts),
        "assets": len(assets),
        "undecodable": len(broken),
        "undecodable_kinds": tally((asset.facts.defect for asset in broken), _KINDS),
        "not_accepted": tally((asset.item.status for asset in idle), _STATUSES),
        "usable_images": len(usable),
        **({"unlabelled": len(unlabelled)} if labels.empty().required else {}),
        "not_decoded": sum(not asset.facts.decoded for asset in usable),
        **labels.kept_counts([*usable, *unlabelled]),
        "older_annotations_ignored": raw.older_annotations,
        "annotations_without_asset": raw.annotations_without_asset,
        "files_without_asset": raw.files_without_asset,
        "identical_image_pairs": sum(len(same) * (len(same) - 1) // 2 for same in families),
        "near_duplicates": _near_duplicates(usable, config.keep_together),
        "groups": len({key for asset in usable if (key := name_key(asset, config.keep_together))}),
        "pairs_across_splits": len(torn),
        **labels.odd_counts(usable),
        "exif_rotated": sum(asset.facts.orientation != 1 for asset in usable),
        "unknown_labels": dict(sorted(unknown_labels([*usable, *unlabelled]).items())),
        f"{labels.noun}_per_class": _per_class(usable, classes),
        "splits": {split: _split([a for a in usable if a.split == split], classes, labels.noun) for split in SPLITS},
    }
    warnings = warnings_of(report, assets, families, labels)
    shown = [f"{one.item.id} in {one.split}, {other.item.id} in {other.split}" for one, other in torn[:_SHOWN]]
    return report | {"warnings": warnings, "across_splits": shown, "defects": list(_defects(assets, labels))}


def _near_duplicates(usable: Sequence[Asset], config: TogetherConfig) -> dict[str, Any]:
    """How many images look like another one that is not byte for byte the same, and in how many groups, if sought."""
    if config.near_duplicates < 0:
        return {"sought": False, "groups": 0, "images": 0, "examples": []}
    only = TogetherConfig(near_duplicates=config.near_duplicates)
    found = [same for same in group_assets(usable, only) if len({asset.facts.sha256 for asset in same}) > 1]
    examples = [[asset.item.id for asset in same[:_SHOWN]] for same in found[:_SHOWN]]
    return {"sought": True, "groups": len(found), "images": sum(map(len, found)), "examples": examples}


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
