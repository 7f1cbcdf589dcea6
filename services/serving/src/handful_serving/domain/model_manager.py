"""The models that serving has: found for a request, kept up to date, told of."""

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
    """All parts that deal with models, put together.

    Args:
        world: what they talk to.
        catalog: which names and versions there are.
        limit: models in memory.
        budget: bytes of all of them; no limit if None.
    """

    def __init__(self, world: Dependencies, catalog: Catalog, limit: int, budget: int | None = None) -> None:
        self.world = world
        self.catalog = catalog
        self.store = ModelStore(limit, catalog.rank, budget)
        self.refusals = LoadFailures()
        self._loader = Loader(world, catalog, self.store, self.refusals)
        self.watcher = Watcher(world, catalog, self.store, self.refusals, self._loader)
        self._watching: asyncio.Task[None] | None = None

    def start(self, poll_seconds: float) -> None:
        """Begin to watch the registry."""
        self._watching = asyncio.create_task(self.watcher.run(poll_seconds), name="watcher")

    async def stop(self) -> None:
        """Stop watching and loading. What a thread still does for them is given up."""
        self._loader.cancel()
        if self._watching is not None:
            self._watching.cancel()
            await asyncio.wait({self._watching})

    async def find(self, wanted: ModelRef) -> LoadedModel:
        """The model that a request means; loaded now if it is not yet."""
        loaded = await self._loader.load(self.catalog.resolve(wanted))
        self.watcher.adopt(loaded)
        return loaded

    async def promote(self, name: str, version: int) -> int:
        """Make a version the champion in the registry, and follow it at once; its number.

        Raises:
            HandfulError: the registry has no such version, or is away.
        """
        promoted = await in_thread(self.world.registry.promote, name, version)
        await self.watcher.poll()
        return promoted.version

    async def rollback(self, name: str) -> int:
        """Make the previous champion the champion again, and follow it at once; its number.

        Raises:
            HandfulError: there is none, it cannot be served, or the registry is away.
        """
        await self.watcher.poll()
        await self.find(ModelRef(name, alias=PREVIOUS))
        champion = await in_thread(self.world.registry.rollback, name)
        await self.watcher.poll()
        return champion.version

    def ready(self) -> list[ModelVersion]:
        """The champions that are in memory.

        Raises:
            NoModelError: there is none; the words say why, and which command helps.
        """
        champions = [ModelVersion(name, version) for name, version in sorted(self.catalog.champions.items())]
        loaded = [key for key in champions if self.store.get(key)]
        if not loaded:
            raise self._not_ready()
        return loaded

    def _not_ready(self) -> NoModelError:
        targets = [ModelVersion(name, version) for name, version in self.catalog.targets().items()]
        refused = [refusal for key in targets if (refusal := self.refusals.get(key))]
        if refused:
            return NoModelError(
                f"the champion {refused[0].key} is refused ({refused[0].reason})",
                f"promote a good one with: handful promote {refused[0].key.name} VERSION",
            )
        if self.catalog.reachable is False:
            return NoModelError("no model is in the cache, and the registry is away", self.catalog.trouble)
        if self.catalog.reachable and not targets:
            return NoModelError(
                "no registered model has the alias champion",
                "bring the starter model with `handful import models/starter.zip`, train one, or name one with "
                "`handful promote NAME VERSION`",
            )
        return NoModelError("the first model is being loaded", "try again in a moment")
