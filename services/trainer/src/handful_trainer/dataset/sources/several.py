"""Several sources as one: `dataset.sources`."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path, PurePath

from handful_trainer.dataset.accounts import Account, LeftOut, check_used
from handful_trainer.dataset.sources.base import RawDataset, RawItem, Source, SplitName
from handful_trainer.dataset.sources.coco.files import split_of


class SeveralSources:
    """Hands over what all of some sources have.

    Args:
        sources: each with what it is called.
    """

    def __init__(self, sources: Sequence[tuple[str, Source]]) -> None:
        self._sources = sources

    def roots(self) -> tuple[Path, ...]:
        """Those of all."""
        return tuple(root for _, source in self._sources for root in source.roots())

    def read(self) -> RawDataset:
        """Everything, one source after the other.

        Raises:
            DataError: what one of the sources raises, or one of them has nothing that can be used.
        """
        found = [(name, source.read()) for name, source in self._sources]
        for _, raw in found:
            check_used(raw.accounts)
        found = list(_in_their_splits(found, [source for _, source in self._sources]))
        raws = [raw for _, raw in found]
        kinds = {raw.made_for for raw in raws if raw.made_for}
        return RawDataset(
            items=tuple(_with_own_ids(raws)),
            classes=tuple(dict.fromkeys(name for raw in raws for name in raw.classes)),
            accounts=tuple(merged(account for raw in raws for account in raw.accounts)),
            warnings=tuple(f"{name}: {warning}" for name, raw in found for warning in raw.warnings),
            made_for=kinds.pop() if len(kinds) == 1 else "",
        )


def _in_their_splits(
    found: Sequence[tuple[str, RawDataset]], sources: Sequence[Source]
) -> Iterator[tuple[str, RawDataset]]:
    """What sources hold, in the splits that their paths say, if these are several: .../train and .../valid.

    A source that has splits of its own keeps them. Of reviewed pictures the path says nothing.
    """
    said = [
        None if any(item.reviewed for item in raw.items) else next(map(_split_said, source.roots()), None)
        for (_, raw), source in zip(found, sources, strict=True)
    ]
    several = len(set(said) - {None}) > 1
    for (name, raw), split in zip(found, said, strict=True):
        if several and split and len({item.split for item in raw.items}) == 1 and raw.items[0].split != split:
            yield name, replace(raw, items=tuple(item._replace(split=split) for item in raw.items))
        else:
            yield name, raw


def _split_said(path: Path) -> SplitName | None:
    """The split that the name of a folder or an instances file says; a data.yaml is called like its folder."""
    if path.suffix.lower() in {".yaml", ".yml", ".data"}:
        path = path.parent
    return split_of(PurePath(path.name))


def _with_own_ids(raws: Iterable[RawDataset]) -> Iterator[RawItem]:
    """All items. One whose id an earlier source has too gets the number of its source behind it."""
    taken: set[str] = set()
    for number, raw in enumerate(raws, 1):
        own = {item.id.casefold() for item in raw.items}
        for item in raw.items:
            asset_id = item.id
            if asset_id.casefold() in taken:
                names = (f"{item.id}-{number}{'-' * extra}" for extra in itertools.count())
                asset_id = next(name for name in names if name.casefold() not in taken | own)
            yield item if asset_id == item.id else item._replace(id=asset_id)
        taken |= own | {f"{name}-{number}" for name in own & taken}


def merged(accounts: Iterable[Account]) -> Iterator[Account]:
    """Accounts of several sources, one for each kind of thing."""
    by_kind: dict[str, Account] = {}
    for account in accounts:
        known = by_kind.get(account.kind)
        by_kind[account.kind] = account if known is None else _sum(known, account)
    yield from by_kind.values()


def _sum(one: Account, other: Account) -> Account:
    left_out = dict(one.left_out)
    for reason, entry in other.left_out.items():
        known = left_out.get(reason, LeftOut(0, ()))
        first = (*known.first, *entry.first)[: max(len(known.first), len(entry.first))]
        left_out[reason] = LeftOut(known.number + entry.number, first, known.hint or entry.hint)
    return Account(one.kind, one.found + other.found, one.used + other.used, left_out)
