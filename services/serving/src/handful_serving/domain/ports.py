"""What the domain asks of the dependencies. All calls block, and are made in threads, unless it is said otherwise."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from handful_core.registry.records import RegisteredModel, Version
from handful_core.registry.runs import Run
from handful_serving.domain.model_ref import ModelVersion
from handful_serving.domain.model_store import Model
from handful_serving.domain.prediction import PredictionResult


class ModelRegistry(Protocol):
    """The registry, as `handful_core.registry.Registry` is it."""

    @property
    def uri(self) -> str:
        """Its address."""
        ...

    def models(self) -> list[RegisteredModel]:
        """All registered models, by name."""
        ...

    def versions(self, name: str) -> list[Version]:
        """All versions of a model, the newest first."""
        ...

    def version(self, name: str, reference: str | int) -> Version:
        """The version with this number or alias."""
        ...

    def run(self, run_id: str) -> Run:
        """A training's metrics, with their curves."""
        ...

    def promote(self, name: str, version: int) -> Version:
        """Make a version the champion and remember the one before."""
        ...

    def rollback_target(self, name: str) -> Version:
        """The version that a rollback would make the champion."""
        ...

    def rollback(self, name: str) -> Version:
        """Make the previous champion the champion again."""
        ...

    def download_package(self, version: Version, target: Path) -> Path:
        """Fetch a version's package into a folder."""
        ...


@dataclass(frozen=True, slots=True)
class CacheEntry:
    """A package in the cache, and the version that it was fetched for."""

    folder: Path
    record: Version

    @property
    def model_version(self) -> ModelVersion:
        """The version."""
        return ModelVersion(self.record.name, self.record.version)


class PackageCache(Protocol):
    """Packages on disk, which outlive the process."""

    def find(self, record: Version) -> CacheEntry | None:
        """The package of exactly this version of the registry, not of one that once had its name and number."""
        ...

    def newest(self, version: ModelVersion) -> CacheEntry | None:
        """The package that was last fetched for a version: for when the registry cannot say more."""
        ...

    def entries(self) -> list[CacheEntry]:
        """All packages, for each version the newest."""
        ...

    def incoming(self) -> AbstractContextManager[Path]:
        """An empty folder to download into; what is not installed from it is removed."""
        ...

    def install(self, folder: Path, record: Version) -> CacheEntry:
        """Check a downloaded package, then make it part of the cache in one step."""
        ...

    def discard(self, entry: CacheEntry) -> None:
        """Remove a package."""
        ...

    def prune(self, name: str, keep: frozenset[int]) -> None:
        """Remove what is too old of a model, but not these versions."""
        ...

    def champions(self) -> dict[str, int]:
        """The champions that were saved last."""
        ...

    def save_champions(self, champions: Mapping[str, int]) -> None:
        """Save which versions are served, for the next start."""
        ...


OpenModel = Callable[[Path], Model]
"""Check a package's folder, build its session, let it answer its golden image."""


Probe = Callable[[Path], Mapping[str, int]]
"""Try a package's folder in a process of its own, unless it was tried before.

It gives the memory that the package takes, by backend and precision."""


class Observer(Protocol):
    """Observes serving, for metrics and the prediction log. Its methods do not block and run on the event loop."""

    def wants(self, model_version: ModelVersion, source: str) -> bool:
        """Whether an image that is about to be answered is to be measured: its result then has what it looks like."""
        ...

    def predicted(self, result: PredictionResult) -> None:
        """An image was answered."""
        ...

    def compared(self, name: str, outcome: str) -> None:
        """A challenger was asked beside the champion: `agree`, `differ`, `failed`, or `skipped` for want of time."""
        ...

    def reloaded(self, name: str, outcome: str, reason: str) -> None:
        """A version was loaded (`ok`), `refused` or `failed`; the reason is one word, empty if ok."""
        ...

    def registry_answered(self, *, reachable: bool) -> None:
        """The registry did or did not answer."""
        ...


class Capture(Protocol):
    """Keeps pictures for review. Its methods do not block and run on the event loop."""

    mode: str
    """Which pictures it keeps, in one word, for people."""

    def looks_at(self, model_version: ModelVersion, source: str) -> bool:
        """Whether an image that is about to be answered may be kept: its result then has a frame."""
        ...

    def keep(self, result: PredictionResult) -> bool:
        """Keep the image if it is worth it; whether it is kept. The answer says so."""
        ...

    def differed(self, result: PredictionResult) -> None:
        """The challenger answered otherwise."""
        ...


@dataclass(frozen=True, slots=True)
class MonitorAnswer:
    """What the monitor said to a question that serving passed on."""

    status: int
    kind: str
    """Content-Type."""
    content: bytes
    revision: str = ""
    """ETag, of what has one."""


@dataclass(frozen=True, slots=True)
class MonitorQuestion:
    """What is passed on to the monitor.

    Attributes:
        query: as the client sent it.
        caller: name of the API key; "" where none is asked for.
        revision: If-Match, if the client sent it.
    """

    method: str
    path: str
    query: str = ""
    caller: str = ""
    revision: str = ""
    content: bytes = b""
