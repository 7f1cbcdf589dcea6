"""From a version's number to a model in memory: registry or cache, download, check, session, golden image."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

from handful_core.errors import HandfulError, NotFoundError, PackageError, ResourceError, UnavailableError
from handful_core.package.errors import DamagedPackageError, ManifestError, MissingPackageError
from handful_core.registry.records import Version
from handful_serving.concurrency.threads import SingleFlight, in_thread
from handful_serving.domain.catalog import Catalog
from handful_serving.domain.model_ref import ModelVersion
from handful_serving.domain.model_store import LoadedModel, Model, ModelStore
from handful_serving.domain.ports import CacheEntry, ModelRegistry, Observer, OpenModel, PackageCache
from handful_serving.errors import OverloadedError, RefusedModelError, UnknownModelError

_log = logging.getLogger(__name__)
_SPOILT = (DamagedPackageError, ManifestError, MissingPackageError)
"""What a disk can do to a package that was whole when it was fetched."""
_AT_ONCE, _WAITING = 4, 64
"""Versions that are fetched at once, and that may wait for it."""


@dataclass(frozen=True, slots=True)
class Dependencies:
    """What loading talks to."""

    registry: ModelRegistry
    cache: PackageCache
    open_model: OpenModel
    observer: Observer
    resident: Callable[[], int] = lambda: 0
    """Bytes of memory that this process has now. It does not block."""


class Loader:
    """Loads versions into the store, each once however many ask for it at the same time."""

    def __init__(self, world: Dependencies, catalog: Catalog, store: ModelStore, refusals: LoadFailures) -> None:
        self._world = world
        self._catalog = catalog
        self._store = store
        self._refusals = refusals
        self._flights: SingleFlight[ModelVersion, LoadedModel] = SingleFlight()
        self._preparing = asyncio.Semaphore(_AT_ONCE)
        self._opening = asyncio.Lock()
        """One model is opened at a time: what memory grows by meanwhile is its own."""

    async def load(self, key: ModelVersion) -> LoadedModel:
        """The version's model, from memory if it is there.

        Raises:
            UnknownModelError: the registry has no such version.
            RefusedModelError: its package is bad, or was found bad a while ago.
            UnavailableError: the registry is away and the package is not in the cache, or too many others are loaded.
        """
        loaded = self._store.get(key)
        if loaded is None and key not in self._flights and len(self._flights) >= _WAITING:
            raise OverloadedError("too many models are being loaded", "loading", 1)
        return loaded or await self._flights.do(key, lambda: self._load(key))

    def cancel(self) -> None:
        """Give up the loads that run."""
        self._flights.cancel()

    async def _load(self, key: ModelVersion) -> LoadedModel:
        if refusal := self._refusals.get(key):
            raise refusal.error()
        try:
            async with self._preparing:
                entry, model, memory = await self._prepare(key)
        except UnknownModelError:
            raise
        except UnavailableError:
            self._world.observer.reloaded(key.name, "failed", "registry")
            raise
        except PackageError as error:
            raise self._refuse(key, "refused", error.kind, error, REFUSED_SECONDS) from error
        except Exception as error:  # Whatever a package brings up: it is refused, and the others are served.
            resource = isinstance(error, OSError | ResourceError)
            kind = "resource" if resource else "registry" if isinstance(error, HandfulError) else "internal"
            raise self._refuse(key, "failed", kind, error, FAILED_SECONDS) from error
        loaded = LoadedModel(entry.record, model, await in_thread(lambda: model.package.digest), memory)
        self._store.add(loaded)
        self._world.observer.reloaded(key.name, "ok", "")
        _log.info("loaded %s", key, extra={"model": key.name, "version": key.version, "digest": loaded.digest})
        await self._prune(key.name)
        return loaded

    async def _prepare(self, key: ModelVersion) -> tuple[CacheEntry, Model, int]:
        world = self._world
        record = await self._record(key)
        known = partial(world.cache.find, record) if record else partial(world.cache.newest, key)
        entry = await in_thread(known)
        if entry is not None:
            try:
                return entry, *await self._open(entry)
            except _SPOILT as error:
                _log.warning("the cached package of %s is spoilt (%s): it is fetched again", key, error)
                await in_thread(world.cache.discard, entry)
        record = record or await in_thread(world.registry.version, key.name, key.version)
        entry = await in_thread(self._download, record)
        return entry, *await self._open(entry)

    async def _open(self, entry: CacheEntry) -> tuple[Model, int]:
        """The model, and the bytes that it took: what memory grew by, at least the size of its file."""
        async with self._opening:
            before = self._world.resident()
            model = await in_thread(self._world.open_model, entry.folder)
            grown = self._world.resident() - before
        package = model.package
        return model, max(grown, package.manifest.files[package.manifest.model].size)

    async def _record(self, key: ModelVersion) -> Version | None:
        """What the registry says of a version; None if it is away and the cache has a package to make do with."""
        cached = await in_thread(self._world.cache.newest, key)
        if cached is not None and self._catalog.reachable is False:
            return None
        try:
            return await in_thread(self._world.registry.version, key.name, key.version)
        except NotFoundError as error:
            raise await self._unknown(key) from error
        except UnavailableError:
            if cached is None:
                raise
            return None

    async def _unknown(self, key: ModelVersion) -> UnknownModelError:
        try:
            self._catalog.versions[key.name] = await in_thread(self._world.registry.versions, key.name)
        except HandfulError as error:
            _log.debug("the versions of %s cannot be listed: %s", key.name, error)
        return self._catalog.unknown_version(key)

    def _download(self, record: Version) -> CacheEntry:
        with self._world.cache.incoming() as folder:
            try:
                self._world.registry.download_package(record, folder)
            except NotFoundError as error:
                raise MissingPackageError(f"MLflow has lost its files ({error.message})") from error
            return self._world.cache.install(folder, record)

    async def _prune(self, name: str) -> None:
        used = {loaded.key.version for loaded in self._store if loaded.key.name == name}
        used.update(version for model, version in self._catalog.champions.items() if model == name)
        try:
            await in_thread(self._world.cache.prune, name, frozenset(used))
        except OSError as error:
            _log.warning("old packages of %s cannot be removed (%s)", name, error)

    def _refuse(
        self, key: ModelVersion, outcome: str, kind: str, error: Exception, seconds: float
    ) -> RefusedModelError:
        self._world.observer.reloaded(key.name, outcome, kind)
        _log.error("%s %s: %s", outcome, key, error, extra={"model": key.name, "version": key.version, "reason": kind})
        return self._refusals.add(key, kind, str(error), seconds).error()


REFUSED_SECONDS = 600.0
"""A bad package does not get better by itself; but somebody may repair it in place."""
FAILED_SECONDS = 30.0
"""A full disk or the like may pass."""


@dataclass(frozen=True, slots=True)
class LoadFailure:
    """Why a version is not served."""

    key: ModelVersion
    kind: str
    """One word, for metrics."""
    reason: str
    until: float
    """By the clock of `LoadFailures`."""

    def error(self) -> RefusedModelError:
        """What a request for it gets."""
        return RefusedModelError(
            f"{self.key} cannot be served ({self.reason})",
            "ask for another version, or register it again",
            self.kind,
        )


class LoadFailures:
    """The versions to be left alone for now."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._refusals: dict[ModelVersion, LoadFailure] = {}

    def __iter__(self) -> Iterator[LoadFailure]:
        return iter([refusal for key in list(self._refusals) if (refusal := self.get(key))])

    def get(self, key: ModelVersion) -> LoadFailure | None:
        """The refusal that still holds for a version."""
        refusal = self._refusals.get(key)
        return refusal if refusal and refusal.until > self._clock() else None

    def add(self, key: ModelVersion, kind: str, reason: str, seconds: float) -> LoadFailure:
        """Leave a version alone for some seconds."""
        self._refusals[key] = LoadFailure(key, kind, reason, self._clock() + seconds)
        return self._refusals[key]

    def forget(self, name: str) -> None:
        """Give every version of a model another chance."""
        self._refusals = {key: refusal for key, refusal in self._refusals.items() if key.name != name}
