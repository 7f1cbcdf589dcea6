"""The models in memory. Who uses one holds a lease; a model that leaves lives on until its last lease is given back.

All of this runs on the event loop, so nothing needs a lock.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Protocol

from handful_core.package import Manifest, Package
from handful_core.registry.records import Version
from handful_core.runtime.model import Prediction
from handful_core.vision.decode import Pixels
from handful_serving.domain.model_ref import ModelVersion


class Model(Protocol):
    """What answers images. Safe to use from several threads at once."""

    @property
    def package(self) -> Package:
        """The package that was loaded."""
        ...

    @property
    def manifest(self) -> Manifest:
        """The package's manifest."""
        ...

    @property
    def backend(self) -> str:
        """What runs its graph."""
        ...

    def predict(self, pixels: Pixels, confidence: float | None = None, iou: float | None = None) -> Prediction:
        """Answer one image."""
        ...


@dataclass(slots=True)
class LoadedModel:
    """A model in memory."""

    record: Version
    model: Model
    digest: str
    memory: int = 0
    """Bytes that loading it took."""
    leases: int = 0
    used: int = field(default=0)
    """Counts up with every use of the store: the lowest is the least recently used."""

    @property
    def key(self) -> ModelVersion:
        """The version that this is."""
        return ModelVersion(self.record.name, self.record.version)


class ModelStore:
    """The loaded models, at most `limit` and in `budget` if those in use allow it.

    Args:
        limit: models in memory.
        rank: how much a model is worth keeping: 0 goes first, 1 goes when no 0 is idle, 2 never goes.
        budget: bytes of all of them; no limit if None.
    """

    def __init__(self, limit: int, rank: Callable[[ModelVersion], int], budget: int | None = None) -> None:
        self._limit = limit
        self._budget = budget
        self._rank = rank
        self._models: dict[ModelVersion, LoadedModel] = {}
        self._clock = 0

    def __iter__(self) -> Iterator[LoadedModel]:
        return iter(self._models.values())

    def __len__(self) -> int:
        return len(self._models)

    @property
    def has_room(self) -> bool:
        """Another model would push none out."""
        return len(self._models) < self._limit and (self._budget is None or self.memory < self._budget)

    def can_hold(self, key: ModelVersion) -> bool:
        """Whether it would stay, were it loaded: what is worth more leaves it some room."""
        better = [loaded for other, loaded in self._models.items() if self._rank(other) > self._rank(key)]
        memory = sum(loaded.memory for loaded in better)
        return len(better) < self._limit and (self._budget is None or memory < self._budget)

    @property
    def memory(self) -> int:
        """Bytes that the models took."""
        return sum(loaded.memory for loaded in self._models.values())

    def get(self, key: ModelVersion) -> LoadedModel | None:
        """The model, without using it."""
        return self._models.get(key)

    def add(self, loaded: LoadedModel) -> None:
        """Take a model in, in the place of one of the same key.

        It pushes out only what is worth no more: a client that asks for an old version costs no champion its place.
        """
        self._models[loaded.key] = loaded
        self._touch(loaded)
        worth = self._rank(loaded.key)
        self._shrink(lambda other: other is not loaded and self._rank(other.key) <= worth)

    def trim(self) -> None:
        """Let go of what is too much, if it is not in use."""
        self._shrink(lambda _: True)

    def drop(self, name: str) -> None:
        """Let go of all versions of a model."""
        self._models = {key: loaded for key, loaded in self._models.items() if key.name != name}

    @contextmanager
    def lease(self, loaded: LoadedModel) -> Iterator[LoadedModel]:
        """Use a model: it stays alive meanwhile, even if it is pushed out or swapped."""
        loaded.leases += 1
        self._touch(loaded)
        try:
            yield loaded
        finally:
            loaded.leases -= 1
            self.trim()

    def _touch(self, loaded: LoadedModel) -> None:
        self._clock += 1
        loaded.used = self._clock

    def _shrink(self, may_go: Callable[[LoadedModel], bool]) -> None:
        while self._is_too_much():
            idle = [m for m in self._models.values() if m.leases == 0 and self._rank(m.key) < 2 and may_go(m)]
            if not idle:
                return
            del self._models[min(idle, key=lambda m: (self._rank(m.key), m.used)).key]

    def _is_too_much(self) -> bool:
        return len(self._models) > self._limit or (self._budget is not None and self.memory > self._budget)
