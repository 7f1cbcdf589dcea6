"""From a version's number to a model in memory: registry or cache, download, check, session, golden image."""

from __future__ import annotations

import asyncio
import errno
import logging
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from functools import partial

from handful_core.errors import HandfulError, NotFoundError, PackageError, ResourceError, UnavailableError
from handful_core.package.errors import DamagedPackageError, ManifestError, MissingPackageError
from handful_core.registry.records import Version
from handful_serving.concurrency.threads import SingleFlight, in_thread
from handful_serving.domain.catalog import Catalog
from handful_serving.domain.model_ref import ModelVersion
from handful_serving.domain.model_store import LoadedModel, Model, ModelStore
from handful_serving.domain.ports import CacheEntry, ModelRegistry, Observer, OpenModel, PackageCache, Probe
from handful_serving.errors import NoModelError, OverloadedError, RefusedModelError, UnknownModelError

_log = logging.getLogger(__name__)
REFUSED_SECONDS = 600.0
"""A bad package does not get better by itself; but somebody may repair it in place."""
FAILED_SECONDS = 30.0
"""A full disk or the like may pass."""
_CORRUPT_PACKAGE = (DamagedPackageError, ManifestError, MissingPackageError)
"""What a broken disk makes of a package that was whole when it was fetched."""
_MAX_PENDING_LOADS = 64
"""Loads that may be under way. More are refused."""
_OPENING_SECONDS = 10.0
"""Longest that a model waits for another one to be opened. Both have proved themselves by then."""
_FULL = {errno.ENOSPC, errno.EDQUOT}


@dataclass(frozen=True, slots=True)
class Dependencies:
    """What loading talks to."""

    registry: ModelRegistry
    cache: PackageCache
    open_model: OpenModel
    observer: Observer
    resident: Callable[[], int] = lambda: 0
    """Bytes of memory that this process has now. It does not block."""
    probe: Probe = field(default=lambda _: {})
    """Tries a package before it is opened here."""


class Loader:
    """Loads versions into the store. Concurrent requests for the same version share one load."""

    def __init__(
        self, dependencies: Dependencies, catalog: Catalog, store: ModelStore, load_failures: LoadFailures
    ) -> None:
        self._dependencies = dependencies
        self._catalog = catalog
        self._store = store
        self._load_failures = load_failures
        self._flights: SingleFlight[ModelVersion, LoadedModel] = SingleFlight()
        self._opening = asyncio.Lock()
        """One model is opened at a time, so the growth of this process's memory is that model's."""

    async def load(self, model_version: ModelVersion) -> LoadedModel:
        """The version's model, from memory if it is there.

        Raises:
            UnknownModelError: the registry has no such version.
            RefusedModelError: its package is bad, or was found bad a while ago.
            UnavailableError: the registry is away and the package is not in the cache, or too many others are loaded.
        """
        loaded = self._store.get(model_version)
        if loaded is None and model_version not in self._flights and len(self._flights) >= _MAX_PENDING_LOADS:
            raise OverloadedError("too many models are being loaded", "loading", 1)
        return loaded or await self._flights.do(model_version, lambda: self._load(model_version))

    def cancel(self) -> None:
        """Cancel the loads that run."""
        self._flights.cancel()

    async def _load(self, model_version: ModelVersion) -> LoadedModel:
        if failure := self._load_failures.get(model_version):
            raise failure.error()
        try:
            entry, model, memory = await self._prepare(model_version)
        except UnknownModelError:
            raise
        except UnavailableError:
            self._dependencies.observer.reloaded(model_version.name, "failed", "registry")
            raise
        except PackageError as error:
            failure = LoadFailure(model_version, error.kind, str(error))
            raise self._refuse(failure, REFUSED_SECONDS) from error
        except Exception as error:  # A package can raise anything. It is refused, and the others are served.
            raise self._refuse(_passing(model_version, error), FAILED_SECONDS) from error
        digest = await in_thread(lambda: model.package.digest)  # It reads a file.
        loaded = LoadedModel(entry.record, model, digest, memory)
        self._store.add(loaded)
        self._dependencies.observer.reloaded(model_version.name, "ok", "")
        _log.info(
            "loaded %s",
            model_version,
            extra={"model": model_version.name, "version": model_version.version, "digest": loaded.digest},
        )
        await self._prune(model_version.name)
        return loaded

    async def _prepare(self, model_version: ModelVersion) -> tuple[CacheEntry, Model, int]:
        dependencies = self._dependencies
        record = await self._record(model_version)
        lookup = (
            partial(dependencies.cache.find, record) if record else partial(dependencies.cache.newest, model_version)
        )
        entry = await in_thread(lookup)
        if entry is not None:
            try:
                return entry, *await self._open(entry)
            except _CORRUPT_PACKAGE as error:
                _log.warning("the cached package of %s is damaged (%s): it is fetched again", model_version, error)
                await in_thread(dependencies.cache.discard, entry)
        record = record or await in_thread(dependencies.registry.version, model_version.name, model_version.version)
        entry = await in_thread(self._download, record)
        return entry, *await self._open(entry)

    async def _open(self, entry: CacheEntry) -> tuple[Model, int]:
        """The model, and the bytes that it took: what memory grew by, at least the size of its file."""
        dependencies = self._dependencies
        tried = await in_thread(dependencies.probe, entry.folder)
        async with self._alone() as alone:
            before = dependencies.resident()
            model = await in_thread(dependencies.open_model, entry.folder)
            grown = dependencies.resident() - before if alone else tried.get(model.execution, 0)
        package = model.package
        return model, max(grown, package.manifest.files[package.manifest.model].size)

    @asynccontextmanager
    async def _alone(self) -> AsyncIterator[bool]:
        """Wait until no other model is being opened, but not for long; whether this one is alone."""
        try:
            async with asyncio.timeout(_OPENING_SECONDS):
                await self._opening.acquire()
        except TimeoutError:
            yield False
            return
        try:
            yield True
        finally:
            self._opening.release()

    async def _record(self, model_version: ModelVersion) -> Version | None:
        """The registry's entry of a version; None if the registry is away and a cached package can be used instead."""
        cached = await in_thread(self._dependencies.cache.newest, model_version)
        if cached is not None and self._catalog.reachable is False:
            return None  # The watcher knows that the registry is away: no request waits for another timeout.
        try:
            return await in_thread(self._dependencies.registry.version, model_version.name, model_version.version)
        except NotFoundError as error:
            raise await self._unknown(model_version) from error
        except UnavailableError:
            if cached is None:
                raise
            return None

    async def _unknown(self, model_version: ModelVersion) -> UnknownModelError:
        try:
            self._catalog.versions[model_version.name] = await in_thread(
                self._dependencies.registry.versions, model_version.name
            )
        except HandfulError as error:
            _log.debug("the versions of %s cannot be listed: %s", model_version.name, error)
        return self._catalog.unknown_version(model_version)

    def _download(self, record: Version) -> CacheEntry:
        with self._dependencies.cache.incoming() as folder:
            try:
                self._dependencies.registry.download_package(record, folder)
            except NotFoundError as error:
                raise MissingPackageError(f"MLflow has lost its files ({error.message})") from error
            return self._dependencies.cache.install(folder, record)

    async def _prune(self, name: str) -> None:
        used = {loaded.model_version.version for loaded in self._store if loaded.model_version.name == name}
        used.update(version for model, version in self._catalog.champions.items() if model == name)
        try:
            await in_thread(self._dependencies.cache.prune, name, frozenset(used))
        except OSError as error:
            _log.warning("old packages of %s cannot be removed (%s)", name, error)

    def _refuse(self, failure: LoadFailure, seconds: float) -> RefusedModelError:
        model_version = failure.model_version
        outcome = "failed" if failure.passes else "refused"
        self._dependencies.observer.reloaded(model_version.name, outcome, failure.kind)
        _log.error(
            "%s %s: %s",
            outcome,
            model_version,
            failure.reason,
            extra={"model": model_version.name, "version": model_version.version, "reason": failure.kind},
        )
        return self._load_failures.add(failure, seconds).error()


def _passing(model_version: ModelVersion, error: Exception) -> LoadFailure:
    """A failure that is not the package's, or of which nobody knows whose it is."""
    hint = f"it is tried again every {FAILED_SECONDS:g} s"
    if isinstance(error, OSError) and error.errno in _FULL:
        words = f"the disk of the package cache is full ({error.strerror})"
        return LoadFailure(model_version, "resource", words, f"make room there, {hint}", passes=True)
    resource = isinstance(error, OSError | ResourceError)
    kind = "resource" if resource else "registry" if isinstance(error, HandfulError) else "internal"
    return LoadFailure(model_version, kind, str(error) or type(error).__name__, hint, passes=True)


@dataclass(frozen=True, slots=True)
class LoadFailure:
    """Why a version is not served."""

    model_version: ModelVersion
    kind: str
    """One word, for metrics."""
    reason: str
    hint: str = "ask for another version, or register it again"
    passes: bool = False
    """It may go away by itself, such as a full disk."""
    until: float = 0.0
    """By the clock of `LoadFailures`."""

    def error(self) -> RefusedModelError:
        """What a request for it gets."""
        words = "cannot be loaded now" if self.passes else "cannot be served"
        return RefusedModelError(f"{self.model_version} {words} ({self.reason})", self.hint, self.kind)

    def not_ready(self) -> NoModelError:
        """What a server says that has no other model."""
        if self.passes:
            return NoModelError(f"the champion {self.model_version} cannot be loaded now ({self.reason})", self.hint)
        return NoModelError(
            f"the champion {self.model_version} is refused ({self.reason})",
            f"promote a good one with: handful promote {self.model_version.name} VERSION",
        )


class LoadFailures:
    """A negative cache: versions that failed to load are not tried again for a while."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._failures: dict[ModelVersion, LoadFailure] = {}

    def __iter__(self) -> Iterator[LoadFailure]:
        return iter([failure for model_version in list(self._failures) if (failure := self.get(model_version))])

    def get(self, model_version: ModelVersion) -> LoadFailure | None:
        """The failure that still holds for a version."""
        failure = self._failures.get(model_version)
        return failure if failure and failure.until > self._clock() else None

    def add(self, failure: LoadFailure, seconds: float) -> LoadFailure:
        """Do not try a version again for some seconds."""
        self._failures[failure.model_version] = replace(failure, until=self._clock() + seconds)
        return failure

    def forget(self, name: str) -> None:
        """Give every version of a model another chance."""
        self._failures = {
            model_version: failure for model_version, failure in self._failures.items() if model_version.name != name
        }
