"""The status of every model and version, for lists."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime

from handful_core.errors import HandfulError
from handful_core.package import Manifest
from handful_core.registry.records import Version
from handful_core.registry.runs import Run
from handful_serving.concurrency.threads import SingleFlight, in_thread
from handful_serving.domain.model_manager import ModelManager
from handful_serving.domain.model_ref import ModelVersion
from handful_serving.errors import UnknownModelError

_REGISTRY_SECONDS = 3.0
"""Seconds that a list waits for the registry. After that it is made of what is known."""
_METRIC_TAG = "metrics."
_TASKS = ("detect", "classify")
_GATE_DECISIONS = ("promoted", "kept", "undecided")


@dataclass(frozen=True, slots=True)
class GateSummary:
    """What the gate decided about a version when it was registered."""

    decision: str
    """`promoted`, `kept` (the champion before it stayed) or `undecided`."""
    reason: str


@dataclass(frozen=True, slots=True)
class VersionSummary:
    """One version."""

    version: int
    aliases: list[str]
    created: datetime | None
    run_id: str | None
    loaded: bool
    state: str
    """`served` (answers for its model), `loaded`, `available` or `refused`."""
    reason: str | None
    """Why it was refused."""
    metrics: dict[str, float] = field(default_factory=dict)
    architecture: str | None = None
    dataset: str | None = None
    backend: str | None = None
    """What runs it: `onnxruntime` or `openvino`; None if it is not in memory."""
    precision: str | None = None
    """In which precision: `fp32`, `fp16`, `bf16` or `int8`; None if it is not in memory."""
    gate: GateSummary | None = None
    """None if it passed no gate."""


@dataclass(frozen=True, slots=True)
class ModelSummary:
    """One model with its versions, the newest first."""

    name: str
    task: str | None
    """None where neither the registry's tags nor a version in memory tell."""
    default: bool
    aliases: dict[str, int]
    versions: list[VersionSummary]


class ModelStatus:
    """What the manager knows of each model, with the registry's versions while the registry answers."""

    def __init__(self, manager: ModelManager) -> None:
        self._manager = manager
        self._flights: SingleFlight[str, list[Version]] = SingleFlight()

    async def models(self) -> list[ModelSummary]:
        """All models, by name."""
        return list(await asyncio.gather(*(self.model(name) for name in self._manager.catalog.names())))

    async def model(self, name: str) -> ModelSummary:
        """One model.

        Raises:
            UnknownModelError: there is none of this name.
        """
        catalog = self._manager.catalog
        if name not in catalog.names():
            raise UnknownModelError(f"there is no model {name}", f"there is {', '.join(catalog.names()) or 'none yet'}")
        records = await self._records(name)
        summaries = [self._version(record) for record in records]
        return ModelSummary(name, self._task(records), name == catalog.default, catalog.aliases(name), summaries)

    def _task(self, records: list[Version]) -> str | None:
        """As a version in memory says, else as the newest version's tags do."""
        loaded = (self._manager.store.get(ModelVersion(record.name, record.version)) for record in records)
        tagged = (record.tags.get("task") for record in records)
        known = (*(found.model.manifest.task for found in loaded if found), *(tag for tag in tagged if tag in _TASKS))
        return next(iter(known), None)

    async def run(self, name: str, number: int) -> Run:
        """The training that made a version.

        Raises:
            UnknownModelError: there is no such version, or no run is known of it.
            UnavailableError: the registry does not answer.
        """
        versions = (await self.model(name)).versions
        summary = next((version for version in versions if version.version == number), None)
        if summary is None or summary.run_id is None:
            raise UnknownModelError(f"no run is known of {name} version {number}", "see /models for what there is")
        return await in_thread(self._manager.dependencies.registry.run, summary.run_id)

    async def _records(self, name: str) -> list[Version]:
        """The model's versions, the newest first: from the registry, else as last heard, else what is on disk."""
        catalog = self._manager.catalog
        if catalog.reachable:
            request = self._flights.do(name, lambda: in_thread(self._manager.dependencies.registry.versions, name))
            with suppress(HandfulError, TimeoutError):  # The watcher logs that the registry is away.
                catalog.versions[name] = await asyncio.wait_for(request, _REGISTRY_SECONDS)
        if name in catalog.versions:
            return catalog.versions[name]
        entries = await in_thread(self._manager.dependencies.cache.entries)
        on_disk = {entry.model_version: entry.record for entry in entries}
        in_memory = {loaded.model_version: loaded.record for loaded in self._manager.store}
        known = [record for model_version, record in (on_disk | in_memory).items() if model_version.name == name]
        return sorted(known, key=lambda record: -record.version)

    def _version(self, record: Version) -> VersionSummary:
        model_version = ModelVersion(record.name, record.version)
        loaded = self._manager.store.get(model_version)
        failure = self._manager.load_failures.get(model_version)
        served = self._manager.catalog.is_champion(model_version)
        manifest = loaded.model.manifest if loaded else None
        aliases = self._manager.catalog.aliases(record.name).items()
        return VersionSummary(
            version=record.version,
            aliases=sorted(alias for alias, number in aliases if number == record.version),
            created=record.created,
            run_id=record.run_id,
            loaded=loaded is not None,
            state="served" if served else "loaded" if loaded else "refused" if failure else "available",
            reason=failure.reason if failure and not loaded else None,
            metrics=metrics_of(record, manifest),
            architecture=record.tags.get("architecture") or (manifest.architecture if manifest else None),
            dataset=record.tags.get("dataset") or _dataset(manifest),
            backend=loaded.model.backend if loaded else None,
            precision=loaded.model.precision if loaded else None,
            gate=_gate(record.tags),
        )


def _gate(tags: Mapping[str, str]) -> GateSummary | None:
    """The gate's tags, as far as they are the gate's."""
    decision = tags.get("gate.decision", "")
    return GateSummary(decision, tags.get("gate.reason", "")) if decision in _GATE_DECISIONS else None


def metrics_of(record: Version, manifest: Manifest | None) -> dict[str, float]:
    """A version's metrics: its tags', else its manifest's, as far as they are numbers."""
    return _metrics(record.tags) or (_numbers(manifest.metrics) if manifest else {})


def _metrics(tags: Mapping[str, str]) -> dict[str, float]:
    """The tags `metrics.<name>`, as far as they are numbers."""
    found = {}
    for tag, text in tags.items():
        if tag.startswith(_METRIC_TAG):
            try:
                found[tag.removeprefix(_METRIC_TAG)] = float(text)
            except ValueError:
                continue
    return _numbers(found)


def _numbers(metrics: Mapping[str, object]) -> dict[str, float]:
    return {
        name: float(value)
        for name, value in metrics.items()
        if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    }


def _dataset(manifest: Manifest | None) -> str | None:
    return manifest.dataset.name if manifest and manifest.dataset else None
