"""A fair sample of a stream, of bounded size."""

from __future__ import annotations

import random
import threading
from collections.abc import Hashable
from dataclasses import dataclass, field
from typing import Generic, NamedTuple, TypeVar

_Item = TypeVar("_Item")
_MOST_STRATA = 64
"""Clients make sources up: those after so many share one stratum."""


class Sampled(NamedTuple, Generic[_Item]):
    """An item that was kept."""

    item: _Item
    weight: float
    """How many items of its stratum it stands for."""


@dataclass(slots=True)
class _Stratum(Generic[_Item]):
    seen: int = 0
    kept: list[_Item] = field(default_factory=list)


class Reservoir(Generic[_Item]):
    """Keeps at most so many items until they are taken: of each stratum a uniform sample (Vitter's algorithm R, 1985).

    The strata share what is kept. A quiet one keeps all it has, and what it leaves goes to the others.

    Args:
        size: items that `take` gives at most.
        chance: for tests.
    """

    def __init__(self, size: int, chance: random.Random | None = None) -> None:
        self._size = size
        self._chance = chance or random.Random()  # noqa: S311  # No secret.
        self._strata: dict[Hashable, _Stratum[_Item]] = {}
        self._lock = threading.Lock()

    def offer(self, stratum: Hashable, item: _Item) -> None:
        """Keep an item, or not. Takes a microsecond."""
        with self._lock:
            if stratum not in self._strata and len(self._strata) >= _MOST_STRATA:
                stratum = None
            found = self._strata.setdefault(stratum, _Stratum())
            found.seen += 1
            if len(found.kept) < self._size:
                found.kept.append(item)
            elif (place := self._chance.randrange(found.seen)) < self._size:
                found.kept[place] = item

    def take(self) -> list[Sampled[_Item]]:
        """All that was kept since the last time."""
        with self._lock:
            strata, self._strata = list(self._strata.values()), {}
        self._chance.shuffle(strata)  # Of more strata than there is room for, chance chooses.
        strata.sort(key=lambda stratum: len(stratum.kept))
        room, sampled = self._size, []
        for rest, stratum in zip(range(len(strata), 0, -1), strata, strict=True):
            share = min(len(stratum.kept), -(-room // rest))
            room -= share
            # A uniform sample of a uniform sample is one.
            kept = self._chance.sample(stratum.kept, share)
            sampled += [Sampled(item, stratum.seen / share) for item in kept]
        return sampled
