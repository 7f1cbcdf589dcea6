"""Keeps what is served at what the registry's champion aliases say."""

from __future__ import annotations

import asyncio
import logging
import time
from functools import partial

from handful_core.errors import HandfulError, NotFoundError, UnavailableError
from handful_core.registry.records import CHAMPION
from handful_serving.concurrency.threads import in_thread
from handful_serving.domain.catalog import Catalog
from handful_serving.domain.loader import Dependencies, Loader, LoadFailures
from handful_serving.domain.model_ref import ModelVersion
from handful_serving.domain.model_store import LoadedModel, ModelStore
from handful_serving.errors import RefusedModelError

_log = logging.getLogger(__name__)
RETRY_SECONDS = 10.0
"""Pause before a package that could not be downloaded is tried again."""


class Watcher:
    """Polls the registry; loads a new champion beside the old one, then swaps."""

    def __init__(
        self,
        dependencies: Dependencies,
        catalog: Catalog,
        store: ModelStore,
        load_failures: LoadFailures,
        loader: Loader,
    ) -> None:
        self._dependencies = dependencies
        self._catalog = catalog
        self._store = store
        self._load_failures = load_failures
        self._loader = loader
        self._clock = time.monotonic
        self._polling = asyncio.Lock()
        self._saving = asyncio.Lock()
        self._waiting: dict[str, int] = {}
        """Champions of the last poll that are not followed yet, by model: those without room, mostly."""
        self._following: dict[ModelVersion, asyncio.Task[None]] = {}
        """What is being loaded. A model that takes long holds up no other one, nor the next poll."""
        self._not_before: dict[ModelVersion, float] = {}
        """When versions that could not be fetched may be tried again."""
        self._saved: dict[str, int] | None = None
        """The champions saved on disk; None until they are read."""

    async def run(self, seconds: float) -> None:
        """Poll until cancelled, with this pause between."""
        while True:
            try:
                await self._refresh()
            except Exception:  # Without the next poll, serving would never swap again.
                _log.exception("watching the registry failed")
                self._dependencies.observer.reloaded("", "failed", "internal")
            await asyncio.sleep(seconds)

    async def poll(self, name: str | None = None) -> None:
        """Read once where the aliases point, and follow them: until what that loads is there, or refused.

        Args:
            name: wait for this model alone.
        """
        await self._refresh()
        while tasks := [task for version, task in self._following.items() if name in {None, version.name}]:
            await asyncio.wait(tasks)

    def cancel(self) -> None:
        """Follow no more."""
        for task in self._following.values():
            task.cancel()

    async def _refresh(self) -> None:
        """Read where the aliases point, and begin to follow them.

        A promotion does so at once, beside the regular polls. They take turns, so that no older answer of the registry
        overwrites a newer one.
        """
        async with self._polling:
            if self._saved is None:
                self._saved = self._catalog.saved_champions = await in_thread(self._dependencies.cache.champions)
            try:
                models = await in_thread(self._dependencies.registry.models)
            except HandfulError as error:
                self._registry_is_away(error)
                # Without a registry, serve what was served last.
                targets = self._catalog.targets().items()
                self._follow_all({name: version for name, version in targets if name not in self._catalog.champions})
                return
            self._registry_answered()
            for name in self._catalog.update(models):
                self._forget(name)
            await self._retire()
            self._follow_all(self._catalog.targets())
            if not self._following:
                await self._save()

    def _follow_all(self, targets: dict[str, int]) -> None:
        """Follow these champions, the first one first, as far as there is room."""
        self._waiting = dict(targets)
        self._begin()

    def _begin(self) -> None:
        """Begin to load what waits and has room now."""
        for name, version in list(self._waiting.items()):
            model_version = ModelVersion(name, version)
            if self._catalog.champions.get(name) == version or model_version in self._following:
                del self._waiting[name]
            elif self._may_load(name):
                del self._waiting[name]
                task = asyncio.create_task(self._follow(model_version), name=f"follow {model_version}")
                self._following[model_version] = task
                task.add_done_callback(partial(self._followed, model_version))

    def _followed(self, model_version: ModelVersion, task: asyncio.Task[None]) -> None:
        """A model is there, or is not: the next one may have room."""
        self._following.pop(model_version, None)
        if task.cancelled():
            return
        if (error := task.exception()) is not None:
            _log.error("following %s failed", model_version, exc_info=error)
            self._dependencies.observer.reloaded(model_version.name, "failed", "internal")
        self._begin()

    def adopt(self, loaded: LoadedModel) -> None:
        """Answer with this version if it is the champion of a model that had no room before."""
        name, version = loaded.model_version.name, loaded.model_version.version
        if name not in self._catalog.champions and self._catalog.targets().get(name) == version:
            self._catalog.champions[name] = version

    @property
    def _saved_champions(self) -> dict[str, int]:
        return self._saved or {}

    def _may_load(self, name: str) -> bool:
        """A model that is not served yet does not push out another one, unless it is the default model."""
        loading = sum(version.name not in self._catalog.champions for version in self._following)
        return name in self._catalog.champions or name == self._catalog.default or self._store.has_room_for(loading + 1)

    async def _follow(self, model_version: ModelVersion) -> None:
        """Make this version answer for its model; if that cannot be, leave things as they are."""
        failed_lately = self._load_failures.get(model_version) or self._not_before.get(model_version, 0) > self._clock()
        if failed_lately or not await self._swap(model_version):
            await self._fall_back(model_version.name, model_version.version)
        if self._catalog.reachable:
            await self._save()

    async def _fall_back(self, name: str, refused: int) -> None:
        """After a start with a bad champion: answer with the last good one."""
        last = self._saved_champions.get(name)
        if name not in self._catalog.champions and last is not None and last != refused:
            await self._swap(ModelVersion(name, last))

    async def _swap(self, model_version: ModelVersion) -> bool:
        """Load a version, then let it answer. Until that moment the old one answers; no request waits or fails."""
        try:
            await self._loader.load(model_version)
        except UnavailableError as error:
            self._postpone(model_version, error)
            return False
        except (RefusedModelError, NotFoundError):  # The loader has logged it.
            return False
        self._not_before.pop(model_version, None)
        before, target = (
            self._catalog.champions.get(model_version.name),
            self._catalog.targets().get(model_version.name),
        )
        if before is not None and target not in {None, model_version.version}:
            return True  # While it was loaded, the alias went elsewhere.
        # The swap is this assignment: requests that begin now find the new version. Those in work have a lease on the
        # old one, which lost its rank here, so `trim` may evict it once its last lease is released.
        self._catalog.champions[model_version.name] = model_version.version
        self._store.trim()
        previous = f"version {before}" if before else "none"
        _log.info("%s answers, before it %s", model_version, previous, extra={"model": model_version.name})
        return True

    def _postpone(self, model_version: ModelVersion, error: UnavailableError) -> None:
        """The package cannot be fetched: MLflow's store may be away. Not every poll retries the download."""
        if model_version not in self._not_before:
            _log.warning("%s cannot be fetched yet: %s", model_version, error, extra={"model": model_version.name})
        self._not_before[model_version] = self._clock() + RETRY_SECONDS

    async def _retire(self) -> None:
        """Stop serving models whose champion alias was removed.

        An empty list of models may also come from a proxy, so each alias is asked for before anything is dropped.
        """
        for name in set(self._catalog.champions) - set(self._catalog.targets()):
            try:
                await in_thread(self._dependencies.registry.version, name, CHAMPION)
            except NotFoundError:
                _log.warning("%s has no champion any more: it is not served", name, extra={"model": name})
                self._forget(name)
            except HandfulError as error:
                _log.debug("whether %s still has a champion cannot be asked: %s", name, error)

    def _forget(self, name: str) -> None:
        self._catalog.champions.pop(name, None)
        self._catalog.versions.pop(name, None)
        self._load_failures.forget(name)
        self._store.drop(name)

    async def _save(self) -> None:
        async with self._saving:
            targets = self._catalog.targets()
            last_good = {name: version for name, version in self._saved_champions.items() if name in targets}
            champions = last_good | self._catalog.champions
            if champions == self._saved_champions:
                return
            try:
                await in_thread(self._dependencies.cache.save_champions, champions)
            except OSError as error:
                _log.warning("the champions cannot be saved for the next start (%s)", error)
            else:
                self._saved = champions

    def _registry_is_away(self, error: HandfulError) -> None:
        if self._catalog.reachable is not False:
            _log.warning("%s; what is loaded goes on", error)
        self._catalog.reachable, self._catalog.registry_error = False, str(error)
        self._dependencies.observer.registry_answered(reachable=False)

    def _registry_answered(self) -> None:
        if self._catalog.reachable is False:
            _log.info("the registry answers again")
        self._dependencies.observer.registry_answered(reachable=True)
