"""What `report.json` says of a prepared dataset: every asset is counted in it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from handful_trainer.dataset.preparation.assets import Asset, identical, unknown_labels
from handful_trainer.dataset.report.warnings import is_tiny, warnings_of
from handful_trainer.dataset.settings import DatasetConfig, TogetherConfig, class_values
from handful_trainer.dataset.sources.base import NO_ANNOTATION, SPLITS, RawDataset
from handful_trainer.dataset.splitting.groups import group_assets, leaks, name_key
from handful_trainer.tasks.detection.labels import DROP_REASONS

_KINDS = ("truncated", "empty", "html", "noise", "garbled")
_SHOWN = 20
_STATUSES = ("pending", "refused", "skipped", NO_ANNOTATION)


def build_report(
    config: DatasetConfig, classes: tuple[str, ...], raw: RawDataset, assets: Sequence[Asset], fingerprint: str
) -> dict[str, Any]:
    """Counts, splits, warnings, and each defect with its asset."""
    usable = [asset for asset in assets if asset.outcome == "usable"]
    broken = [asset for asset in assets if asset.outcome == "undecodable"]
    idle = [asset for asset in assets if asset.outcome == "not_accepted"]
    dropped = Counter(reason for asset in usable for _, reason in asset.boxes.dropped)
    families = identical(usable)
    torn = leaks(usable, config.keep_together)
    report: dict[str, Any] = {
        "name": config.title,
        "fingerprint": fingerprint,
        "source": config.source,
        "names": list(classes),
        "counts": class_values(classes, config.counts),
        "assets": len(assets),
        "undecodable": len(broken),
        "undecodable_kinds": _tally((asset.facts.defect for asset in broken), _KINDS),
        "not_accepted": _tally((asset.item.status for asset in idle), _STATUSES),
        "usable_images": len(usable),
        "not_decoded": sum(not asset.facts.decoded for asset in usable),
        "usable_without_boxes": sum(not asset.kept for asset in usable),
        "boxes_kept": sum(len(asset.kept) for asset in usable),
        "boxes_clipped": sum(box.clipped for asset in usable for box in asset.kept),
        "boxes_dropped": _tally(dropped.elements(), DROP_REASONS),
        "older_annotations_ignored": raw.older_annotations,
        "annotations_without_asset": raw.annotations_without_asset,
        "files_without_asset": raw.files_without_asset,
        "identical_image_pairs": sum(len(same) * (len(same) - 1) // 2 for same in families),
        "near_duplicates": _near_duplicates(usable, config.keep_together),
        "groups": len({key for asset in usable if (key := name_key(asset, config.keep_together))}),
        "pairs_across_splits": len(torn),
        "tiny_boxes": sum(is_tiny(box) for asset in usable for box in asset.kept),
        "exif_rotated": sum(asset.facts.orientation != 1 for asset in usable),
        "unknown_labels": dict(sorted(unknown_labels(usable).items())),
        "boxes_per_class": _per_class(usable, classes),
        "splits": {split: _split([a for a in usable if a.split == split], classes) for split in SPLITS},
    }
    warnings = warnings_of(report, assets, families)
    shown = [f"{one.item.id} in {one.split}, {other.item.id} in {other.split}" for one, other in torn[:_SHOWN]]
    return report | {"warnings": warnings, "across_splits": shown, "defects": list(_defects(assets))}


def _near_duplicates(usable: Sequence[Asset], config: TogetherConfig) -> dict[str, Any]:
    """How many images look like another one that is not byte for byte the same, and in how many groups, if sought."""
    if config.near_duplicates < 0:
        return {"sought": False, "groups": 0, "images": 0, "examples": []}
    only = TogetherConfig(near_duplicates=config.near_duplicates)
    found = [same for same in group_assets(usable, only) if len({asset.facts.sha256 for asset in same}) > 1]
    examples = [[asset.item.id for asset in same[:_SHOWN]] for same in found[:_SHOWN]]
    return {"sought": True, "groups": len(found), "images": sum(map(len, found)), "examples": examples}


def _tally(found: Iterable[str], always: Sequence[str]) -> dict[str, int]:
    """Counts by kind: the usual kinds even if there are none of them, others if there are."""
    counted = Counter(found)
    return {kind: counted.pop(kind, 0) for kind in always} | dict(sorted(counted.items()))


def _split(assets: Sequence[Asset], classes: tuple[str, ...]) -> dict[str, Any]:
    return {
        "images": len(assets),
        "without_boxes": sum(not asset.kept for asset in assets),
        "boxes": sum(len(asset.kept) for asset in assets),
        "boxes_per_class": _per_class(assets, classes),
    }


def _per_class(assets: Iterable[Asset], classes: tuple[str, ...]) -> dict[str, int]:
    counted = Counter(box.class_id for asset in assets for box in asset.kept)
    return {name: counted[class_id] for class_id, name in enumerate(classes)}


def _defects(assets: Iterable[Asset]) -> Iterator[dict[str, str]]:
    """One entry for everything that is wrong with an asset, in the order of the assets."""
    for asset in assets:
        who = {"asset": asset.item.id, "name": asset.item.name}
        if asset.facts.defect:
            yield {**who, "problem": asset.facts.defect, "detail": asset.facts.detail}
            continue
        for box, reason in asset.boxes.dropped:
            place = ", ".join(f"{value:g}" for value in (box.x, box.y, box.width, box.height))
            yield {**who, "problem": f"box_{reason}", "detail": f"{box.label}: {place}"}
        for kept in asset.kept:
            if kept.clipped:
                place = ", ".join(f"{value:g}" for value in kept[1:5])
                yield {**who, "problem": "box_clipped", "detail": f"cut to left, top, right, bottom {place}"}
