"""The split of every image: its source's, the one it had before, or a new one."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from handful_trainer.dataset.errors import EmptyDatasetError
from handful_trainer.dataset.inspection.phash import resembling
from handful_trainer.dataset.preparation.assets import Asset
from handful_trainer.dataset.settings import DatasetConfig, TogetherConfig
from handful_trainer.dataset.sources.base import SPLITS, SplitName
from handful_trainer.dataset.splitting.groups import find_alike, group_assets
from handful_trainer.dataset.splitting.stratify import NO_LABEL, Group, split_groups

_STRICTEST: tuple[SplitName, ...] = ("test", "val", "train")
"""Of images that are alike and in different splits, those of the first stay."""


class Placed(NamedTuple):
    """Where an image was before."""

    split: SplitName
    phash: int = -1
    """Its perceptual hash, by which it is known again when it was saved anew; -1 if there is none."""


Earlier = Mapping[str, Placed]
"""Where images were before, by the sha256 of their files."""


def assign_splits(assets: Sequence[Asset], config: DatasetConfig, earlier: Earlier | None = None) -> list[Asset]:
    """Put every usable asset into a split; those of one group into the same.

    An image that was in a split before stays there, also if it was saved anew. Where a new image shows that images of
    different splits belong together, test wins over val and val over train: the new image goes there, and what is
    alike in the other splits is left out (`Asset.alike`).

    Args:
        assets: all assets.
        config: proportions, what belongs together, seed.
        earlier: where images were before.

    Raises:
        EmptyDatasetError: names or tags leave fewer groups than there are splits, or a split stays empty.
    """
    if any(asset.item.kept_from_test and asset.outcome == "usable" for asset in assets):
        return _with_kept_from_test(assets, config, earlier or {})
    usable = [asset for asset in assets if asset.outcome == "usable"]
    distance = config.keep_together.near_duplicates
    grouped = group_assets(usable, config.keep_together)
    if len(grouped) < len(SPLITS):  # All frames of one short video, say: better a split with a warning than none.
        grouped, distance = group_assets(usable, config.keep_together.model_copy(update={"near_duplicates": -1})), -1
    known = _still_open(usable, earlier or {}, distance)
    if len(grouped) < len(SPLITS):
        raise EmptyDatasetError(
            f"what belongs together makes {len(grouped)} groups, train, val and test need at least one each",
            "make dataset.keep_together.pattern or .tags finer, or add images",
        )
    by_group = [list(_by_earlier_split(members, known)) for members in grouped]
    parts = [part for group in by_group for part in group]
    shares = config.split
    fractions: dict[SplitName, float] = {"train": shares.train, "val": shares.val, "test": shares.test}
    splits = split_groups([_group(members, split) for members, split in parts], fractions, config.seed)
    split_by_id = {a.item.id: split for (members, _), split in zip(parts, splits, strict=True) for a in members}
    assigned = [asset._replace(split=split_by_id.get(asset.item.id)) for asset in assets]
    torn = [members for members, group in zip(grouped, by_group, strict=True) if len(group) > 1]
    found = _without_torn(assigned, torn, config.keep_together) if torn else assigned
    _check_filled(found, known)
    return found


def _with_kept_from_test(assets: Sequence[Asset], config: DatasetConfig, earlier: Earlier) -> list[Asset]:
    """The same, where some images are never test images: the others are shared out as if these were not there.

    What is alike to a test image, of now or of before, is left out. What is alike to a validation image goes there.
    """
    held = [asset for asset in assets if asset.item.kept_from_test and asset.outcome == "usable"]
    ids = {asset.item.id for asset in held}
    others = [asset for asset in assets if asset.item.id not in ids]
    if not any(asset.outcome == "usable" for asset in others):
        raise EmptyDatasetError(
            f"all {len(held)} images are reviewed ones, and reviewed pictures are no test images",
            "list another source beside it (dataset.sources), or set test: true",
        )
    done = {asset.item.id: asset for asset in assign_splits(others, config, earlier)}
    done |= {asset.item.id: asset for asset in _outside_test(held, list(done.values()), config, earlier)}
    return [done[asset.item.id] for asset in assets]


def _outside_test(
    held: Sequence[Asset], others: Sequence[Asset], config: DatasetConfig, earlier: Earlier
) -> list[Asset]:
    """Train and val for images that are never in test, by what they are alike to; the rest by the fractions."""
    by_split = {split: [asset for asset in others if asset.split == split] for split in _STRICTEST}
    known = _still_open(held, earlier, config.keep_together.near_duplicates)
    left_out: dict[str, str] = {}
    groups: list[tuple[list[Asset], SplitName | None]] = []
    for members in group_assets(held, config.keep_together):
        twins = {a.item.id: {s: find_alike(a, by_split[s], config.keep_together) for s in _STRICTEST} for a in members}
        for asset in members:
            if reason := _not_beside(twins[asset.item.id], known.get(asset.item.id)):
                left_out[asset.item.id] = reason
        stay = [asset for asset in members if asset.item.id not in left_out]
        near = {split for asset in stay for split in _STRICTEST if twins[asset.item.id][split]}
        near |= {known[asset.item.id] for asset in stay if asset.item.id in known} if not near else set()
        if stay:
            groups.append((stay, next((split for split in _STRICTEST if split in near), None)))
    fractions: dict[SplitName, float] = {"train": config.split.train, "val": config.split.val, "test": 0}
    splits = split_groups([_group(members, split) for members, split in groups], fractions, config.seed)
    placed = {asset.item.id: split for (members, _), split in zip(groups, splits, strict=True) for asset in members}
    return [a._replace(split=placed.get(a.item.id), alike=left_out.get(a.item.id, "")) for a in held]


def _not_beside(twins: Mapping[SplitName, Asset | None], before: SplitName | None) -> str:
    """What an image that is never in test is left out for; nothing if it may stay."""
    if twin := twins["test"]:
        return twin.item.id
    if before == "test":
        return "an earlier test image"
    if twins["val"] and (twin := twins["train"]):
        return twin.item.id
    return ""


def _still_open(usable: Sequence[Asset], earlier: Earlier, distance: int) -> dict[str, SplitName]:
    """Earlier splits by asset id, of those splits that the source does not have itself.

    Args:
        usable: the images.
        earlier: where images were.
        distance: bits in which the perceptual hashes of an image that was saved anew may differ.
    """
    own = {asset.item.split for asset in usable}
    shared = [asset for asset in usable if asset.item.split in {None, "train"}]
    places = {a.item.id: earlier[a.facts.sha256].split for a in shared if a.facts.sha256 in earlier}
    places |= _resembling([asset for asset in shared if asset.item.id not in places], earlier, distance)
    return {asset_id: split for asset_id, split in places.items() if split == "train" or split not in own}


def _resembling(new: Sequence[Asset], earlier: Earlier, distance: int) -> dict[str, SplitName]:
    """The strictest split in which something resembled a new image, by asset id."""
    found: dict[str, SplitName] = {}
    for split in reversed(_STRICTEST):
        known = [placed.phash for placed in earlier.values() if placed.split == split]
        near = resembling([asset.facts.phash for asset in new], known, distance)
        found |= {asset.item.id: split for asset, resembles in zip(new, near, strict=True) if resembles}
    return found


def _check_filled(assets: Sequence[Asset], known: Mapping[str, SplitName]) -> None:
    """Refuse a dataset with an empty split.

    Raises:
        EmptyDatasetError: it names the split, and why it may be empty.
    """
    filled = Counter(asset.split for asset in assets if asset.split)
    empty = next((split for split in SPLITS if not filled[split]), None)
    if empty is None:
        return
    left_out = sum(asset.outcome == "alike" for asset in assets)
    if left_out:
        why = f"{left_out} images are left out, since they belong together with some of another split"
        hint = "correct the names or tags that tell what belongs together, or share out anew: dataset.split.keep=none"
    elif known:
        why = "those that were in it before are gone or cannot be used, and the others stay where they are"
        hint = "bring them back, add images, or share out anew with dataset.split.keep=none"
    else:
        why = "the source has none for it that can be used, or puts the same ones into other splits too"
        hint = "remove the copies, or leave out a split: it is then taken from the training images"
    raise EmptyDatasetError(f"no image is left for {empty}: {why}", hint)


def _by_earlier_split(
    members: Sequence[Asset], known: Mapping[str, SplitName]
) -> Iterator[tuple[list[Asset], SplitName | None]]:
    """A group, in parts where its images were in different splits before; new images go with the strictest."""
    if not any(asset.item.id in known for asset in members):
        yield list(members), None
        return
    stay = {asset.item.id: known.get(asset.item.id) or _own_split(asset) for asset in members}
    found = set(stay.values())
    strictest = next(split for split in _STRICTEST if split in found)
    parts: dict[SplitName, list[Asset]] = defaultdict(list)
    for asset in members:
        parts[stay[asset.item.id] or strictest].append(asset)
    for split, part in parts.items():
        yield part, split


def _own_split(asset: Asset) -> SplitName | None:
    """The split of the source, if it is none that is shared out."""
    return asset.item.split if asset.item.split != "train" else None


def _without_torn(assets: Sequence[Asset], torn: Iterable[Sequence[Asset]], config: TogetherConfig) -> list[Asset]:
    """Leave out what is alike to an image of a stricter split.

    Args:
        assets: all assets.
        torn: groups of which parts were in different splits before.
        config: what makes images alike.
    """
    alike: dict[str, str] = {}
    by_id = {asset.item.id: asset for asset in assets}
    for members in torn:
        kept: list[Asset] = []
        for split in _STRICTEST:
            own = [by_id[asset.item.id] for asset in members if by_id[asset.item.id].split == split]
            twins = {asset.item.id: find_alike(asset, kept, config) for asset in own}
            alike |= {asset_id: twin.item.id for asset_id, twin in twins.items() if twin}
            kept += [asset for asset in own if not twins[asset.item.id]]
    return [
        asset._replace(split=None, alike=alike[asset.item.id]) if asset.item.id in alike else asset for asset in assets
    ]


def _group(members: Sequence[Asset], earlier: SplitName | None) -> Group:
    if len(members) == 1:  # Nearly all are.
        labels = frozenset([box.class_id for box in members[0].kept])
        return Group(1, labels, members[0].item.split, earlier=earlier)
    images = Counter(class_id for asset in members for class_id in {box.class_id for box in asset.kept} or (NO_LABEL,))
    return Group(
        size=len(members),
        labels=frozenset(images) - {NO_LABEL},
        source_split=_source_split(members),
        earlier=earlier,
        images_by_label=tuple(sorted(images.items())),
    )


def _source_split(members: Sequence[Asset]) -> SplitName | None:
    """Where the source has them. If it has them in several splits, the training split gives way."""
    splits = {asset.item.split for asset in members}
    return next((split for split in _STRICTEST if split in splits), None)
