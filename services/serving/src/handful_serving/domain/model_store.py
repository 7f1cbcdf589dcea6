"""The models in memory. Their users have leases, and an evicted model lives on until its last lease is released.

All of this runs on the event loop, so it needs no lock.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Protocol

from handful_core.package import Manifest, Package
from handful_core.registry.records import Version
from handful_core.vision.decode import Pixels
from handful_core.vision.prediction import Prediction
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

    @property
    def precision(self) -> str:
        """In which precision."""
        ...

    @property
    def execution(self) -> str:
        """Both, as probes name them."""
        ...

    def predict(
        self, pixels: Pixels, confidence: float | None = None, iou: float | None = None, *, explain: bool = False
    ) -> Prediction:
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
    last_used: int = 0
    """Counts up with every use of the store: the lowest is the least recently used."""

    @property
    def model_version(self) -> ModelVersion:
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
        self._uses = 0

    def __iter__(self) -> Iterator[LoadedModel]:
        return iter(self._models.values())

    def __len__(self) -> int:
        return len(self._models)

    @property
    def has_room(self) -> bool:
        """Another model would evict none."""
        return self.has_room_for(1)

    def has_room_for(self, models: int) -> bool:
        """So many more models would evict none."""
        return len(self._models) + models <= self._limit and (self._budget is None or self.memory < self._budget)

    def can_hold(self, version: ModelVersion) -> bool:
        """Whether it would stay if it were loaded: models of a higher rank leave it some room."""
        rank = self._rank(version)
        better = [loaded for other, loaded in self._models.items() if self._rank(other) > rank]
        memory = sum(loaded.memory for loaded in better)
        return len(better) < self._limit and (self._budget is None or memory < self._budget)

    @property
    def memory(self) -> int:
        """Bytes that the models took."""
        return sum(loaded.memory for loaded in self._models.values())

    def get(self, version: ModelVersion) -> LoadedModel | None:
        """The model, without using it."""
        return self._models.get(version)

    def add(self, loaded: LoadedModel) -> None:
        """Add a model, or replace the one of the same version.

        It evicts only models of its own rank or a lower one: a client that asks for an old version evicts no champion.
        """
        self._models[loaded.model_version] = loaded
        self._touch(loaded)
        rank = self._rank(loaded.model_version)
        self._evict(lambda other: other is not loaded and self._rank(other.model_version) <= rank)

    def trim(self) -> None:
        """Evict what is over the limits, if it is not in use."""
        self._evict(lambda _: True)

    def drop(self, name: str) -> None:
        """Remove all versions of a model. Those in use live on in their leases."""
        self._models = {version: loaded for version, loaded in self._models.items() if version.name != name}

    def lease(self, loaded: LoadedModel) -> Lease:
        """Begin to use a model: it is not evicted until the lease is released.

        A swap may happen in between. The store then has another version, and this one is freed with its last lease.
        """
        loaded.leases += 1
        self._touch(loaded)
        return Lease(self, loaded)

    def _touch(self, loaded: LoadedModel) -> None:
        self._uses += 1
        loaded.last_used = self._uses

    def _evict(self, may_go: Callable[[LoadedModel], bool]) -> None:
        while self._is_over_limit():
            idle = [
                loaded
                for loaded in self._models.values()
                if loaded.leases == 0 and self._rank(loaded.model_version) < 2 and may_go(loaded)
            ]
            if not idle:
                return  # All are in use: `Lease.release` trims once one is not.
            victim = min(idle, key=lambda loaded: (self._rank(loaded.model_version), loaded.last_used))
            del self._models[victim.model_version]

    def _is_over_limit(self) -> bool:
        return len(self._models) > self._limit or (self._budget is not None and self.memory > self._budget)


class Lease:
    """The use of a model, from `ModelStore.lease` to `release`."""

    def __init__(self, store: ModelStore, loaded: LoadedModel) -> None:
        self._store = store
        self._loaded: LoadedModel | None = loaded

    def release(self) -> None:
        """End it. Calling this again does nothing."""
        loaded, self._loaded = self._loaded, None
        if loaded is not None:
            loaded.leases -= 1
            self._store.trim()
