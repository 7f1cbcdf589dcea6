"""The models of serving: found for a request, kept up to date, promoted and rolled back."""

from __future__ import annotations

import asyncio

from handful_core.registry.records import PREVIOUS
from handful_serving.concurrency.threads import in_thread
from handful_serving.domain.catalog import Catalog
from handful_serving.domain.loader import Dependencies, Loader, LoadFailures
from handful_serving.domain.model_ref import ModelRef, ModelVersion
from handful_serving.domain.model_store import LoadedModel, ModelStore
from handful_serving.domain.watcher import Watcher
from handful_serving.errors import NoModelError


class ModelManager:
    """Catalog, store, loader and watcher, put together.

    Args:
        dependencies: what they talk to.
        catalog: which names and versions there are.
        limit: models in memory.
        budget: bytes of all of them; no limit if None.
    """

    def __init__(self, dependencies: Dependencies, catalog: Catalog, limit: int, budget: int | None = None) -> None:
        self.dependencies = dependencies
        self.catalog = catalog
        self.store = ModelStore(limit, catalog.rank, budget)
        self.load_failures = LoadFailures()
        self._loader = Loader(dependencies, catalog, self.store, self.load_failures)
        self.watcher = Watcher(dependencies, catalog, self.store, self.load_failures, self._loader)
        self._watch_task: asyncio.Task[None] | None = None

    def start(self, poll_seconds: float) -> None:
        """Begin to watch the registry."""
        self._watch_task = asyncio.create_task(self.watcher.run(poll_seconds), name="watcher")

    async def stop(self) -> None:
        """Stop watching and loading. Threads that still work for them are not waited for."""
        self._loader.cancel()
        self.watcher.cancel()
        if self._watch_task is not None:
            self._watch_task.cancel()
            await asyncio.wait({self._watch_task})

    async def find(self, ref: ModelRef) -> LoadedModel:
        """The model that a request means; loaded now if it is not yet."""
        loaded = await self._loader.load(self.catalog.resolve(ref))
        self.watcher.adopt(loaded)
        return loaded

    async def promote(self, name: str, version: int) -> int:
        """Make a version the champion in the registry, and follow it at once; its number.

        Raises:
            HandfulError: the registry has no such version, or is away.
        """
        promoted = await in_thread(self.dependencies.registry.promote, name, version)
        await self.watcher.poll(name)
        return promoted.version

    async def rollback(self, name: str) -> int:
        """Make the previous champion the champion again, and follow it at once; its number.

        Raises:
            HandfulError: there is none, the last rollback took it away, it cannot be served, or the registry is away.
        """
        await self.watcher.poll(name)
        await in_thread(self.dependencies.registry.rollback_target, name)
        await self.find(ModelRef(name, alias=PREVIOUS))
        champion = await in_thread(self.dependencies.registry.rollback, name)
        await self.watcher.poll(name)
        return champion.version

    def ready(self) -> list[ModelVersion]:
        """The champions that are in memory.

        Raises:
            NoModelError: there is none; the words say why, and which command helps.
        """
        champions = [ModelVersion(name, version) for name, version in sorted(self.catalog.champions.items())]
        loaded = [model_version for model_version in champions if self.store.get(model_version)]
        if not loaded:
            raise self._not_ready()
        return loaded

    def _not_ready(self) -> NoModelError:
        targets = [ModelVersion(name, version) for name, version in self.catalog.targets().items()]
        refused = [failure for model_version in targets if (failure := self.load_failures.get(model_version))]
        if refused:
            return refused[0].not_ready()
        if self.catalog.reachable is False:
            return NoModelError("no model is in the cache, and the registry is away", self.catalog.registry_error)
        if self.catalog.reachable and not targets:
            return NoModelError(
                "no registered model has the alias champion",
                "bring the starter model with `handful import models/starter.zip`, train one, or name one with "
                "`handful promote NAME VERSION`",
            )
        return NoModelError("the first model is being loaded", "try again in a moment")
