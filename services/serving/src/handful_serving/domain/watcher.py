"""Keeps what is served at what the registry's champion aliases say."""

from __future__ import annotations

import asyncio
import logging
import time

from handful_core.errors import HandfulError, NotFoundError, UnavailableError
from handful_core.registry.records import CHAMPION
from handful_serving.concurrency.threads import in_thread
from handful_serving.domain.catalog import Catalog
from handful_serving.domain.loader import Dependencies, Loader, LoadFailures
from handful_serving.domain.model_ref import ModelVersion
from handful_serving.domain.model_store import LoadedModel, ModelStore
from handful_serving.errors import RefusedModelError

_log = logging.getLogger(__name__)
POSTPONED_SECONDS = 10.0


class Watcher:
    """Polls the registry; loads a new champion beside the old one, then swaps."""

    def __init__(
        self, world: Dependencies, catalog: Catalog, store: ModelStore, refusals: LoadFailures, loader: Loader
    ) -> None:
        self._world = world
        self._catalog = catalog
        self._store = store
        self._refusals = refusals
        self._loader = loader
        self._clock = time.monotonic
        self._polling = asyncio.Lock()
        self._not_before: dict[ModelVersion, float] = {}
        """Until when versions that could not be fetched are left alone."""
        self._noted: dict[str, int] | None = None
        """The champions noted on disk; None until they are read."""

    async def run(self, seconds: float) -> None:
        """Poll until cancelled, with this pause between."""
        while True:
            try:
                await self.poll()
            except Exception:  # Whatever came up: the next poll must come, or serving would never swap again.
                _log.exception("watching the registry failed")
                self._world.observer.reloaded("", "failed", "internal")
            await asyncio.sleep(seconds)

    async def poll(self) -> None:
        """Look once where the aliases point, and follow them. Whoever comes meanwhile waits for its turn."""
        async with self._polling:
            await self._poll()

    async def _poll(self) -> None:
        if self._noted is None:
            self._noted = self._catalog.remembered = await in_thread(self._world.cache.champions)
        try:
            models = await in_thread(self._world.registry.models)
        except HandfulError as error:
            self._lost(error)
            await self._start_from_cache()
            return
        self._found()
        for name in self._catalog.update(models):
            self._forget(name)
        await self._retire()
        for name, version in self._catalog.targets().items():
            await self._follow(name, version)
        await self._remember()

    def adopt(self, loaded: LoadedModel) -> None:
        """Answer with this version if it is the champion of a model that had no room before."""
        name, version = loaded.key.name, loaded.key.version
        if name not in self._catalog.champions and self._catalog.targets().get(name) == version:
            self._catalog.champions[name] = version

    @property
    def _remembered(self) -> dict[str, int]:
        return self._noted or {}

    async def _follow(self, name: str, version: int) -> None:
        """Make this version answer for the model; if that cannot be, leave things as they are."""
        champions = self._catalog.champions
        wanted = name in champions or self._store.has_room or name == self._catalog.default
        if champions.get(name) == version or not wanted:
            return
        key = ModelVersion(name, version)
        left_alone = self._refusals.get(key) or self._not_before.get(key, 0) > self._clock()
        if left_alone or not await self._swap(key):
            await self._fall_back(name, version)

    async def _fall_back(self, name: str, refused: int) -> None:
        """After a start with a bad champion: answer with the last good one."""
        last = self._remembered.get(name)
        if name not in self._catalog.champions and last is not None and last != refused:
            await self._swap(ModelVersion(name, last))

    async def _swap(self, key: ModelVersion) -> bool:
        try:
            await self._loader.load(key)
        except UnavailableError as error:
            self._postpone(key, error)
            return False
        except (RefusedModelError, NotFoundError):  # The loader has told of it.
            return False
        self._not_before.pop(key, None)
        before = self._catalog.champions.get(key.name)
        self._catalog.champions[key.name] = key.version
        self._store.trim()
        _log.info("%s answers, before it %s", key, f"version {before}" if before else "none", extra={"model": key.name})
        return True

    def _postpone(self, key: ModelVersion, error: UnavailableError) -> None:
        """MLflow answers, but not with the package: its store may be away. A download is no small thing to repeat."""
        if key not in self._not_before:
            _log.warning("%s cannot be fetched yet: %s", key, error, extra={"model": key.name})
        self._not_before[key] = self._clock() + POSTPONED_SECONDS

    async def _start_from_cache(self) -> None:
        """Without a registry, what was served last is served."""
        for name, version in self._catalog.targets().items():
            if name not in self._catalog.champions:
                await self._follow(name, version)

    async def _retire(self) -> None:
        """Let go of models whose champion alias was taken away.

        An empty answer may also be a proxy's; so the registry is asked for the alias itself before anything goes.
        """
        for name in set(self._catalog.champions) - set(self._catalog.targets()):
            try:
                await in_thread(self._world.registry.version, name, CHAMPION)
            except NotFoundError:
                _log.warning("%s has no champion any more: it is not served", name, extra={"model": name})
                self._forget(name)
            except HandfulError as error:
                _log.debug("whether %s still has a champion cannot be asked: %s", name, error)

    def _forget(self, name: str) -> None:
        self._catalog.champions.pop(name, None)
        self._catalog.versions.pop(name, None)
        self._refusals.forget(name)
        self._store.drop(name)

    async def _remember(self) -> None:
        targets = self._catalog.targets()
        last_good = {name: version for name, version in self._remembered.items() if name in targets}
        champions = last_good | self._catalog.champions
        if champions == self._remembered:
            return
        try:
            await in_thread(self._world.cache.remember, champions)
        except OSError as error:
            _log.warning("the champions cannot be noted for the next start (%s)", error)
        else:
            self._noted = champions

    def _lost(self, error: HandfulError) -> None:
        if self._catalog.reachable is not False:
            _log.warning("%s; what is loaded goes on", error)
        self._catalog.reachable, self._catalog.trouble = False, str(error)
        self._world.observer.registry_answered(reachable=False)

    def _found(self) -> None:
        if self._catalog.reachable is False:
            _log.info("the registry answers again")
        self._world.observer.registry_answered(reachable=True)
