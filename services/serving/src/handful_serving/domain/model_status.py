"""What there is: every model and version, and what became of it."""

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

_PATIENCE = 3.0
"""Seconds that a question for a list may wait for the registry; then what is known has to do."""
_METRIC_TAG = "metrics."


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


@dataclass(frozen=True, slots=True)
class ModelSummary:
    """One model with its versions, the newest first."""

    name: str
    task: str | None
    """None as long as no version was loaded."""
    default: bool
    aliases: dict[str, int]
    versions: list[VersionSummary]


class ModelStatus:
    """Tells what the fleet knows; asks the registry for versions if it answers."""

    def __init__(self, fleet: ModelManager) -> None:
        self._fleet = fleet
        self._flights: SingleFlight[str, list[Version]] = SingleFlight()

    async def models(self) -> list[ModelSummary]:
        """All models, by name."""
        return list(await asyncio.gather(*(self.model(name) for name in self._fleet.catalog.names())))

    async def model(self, name: str) -> ModelSummary:
        """One model.

        Raises:
            UnknownModelError: there is none of this name.
        """
        catalog = self._fleet.catalog
        if name not in catalog.names():
            raise UnknownModelError(f"there is no model {name}", f"there is {', '.join(catalog.names()) or 'none yet'}")
        records = await self._records(name)
        views = [self._version(record) for record in records]
        loaded = (self._fleet.store.get(ModelVersion(name, record.version)) for record in records)
        task = next((found.model.manifest.task for found in loaded if found), None)
        return ModelSummary(name, task, name == catalog.default, catalog.aliases(name), views)

    async def run(self, name: str, number: int) -> Run:
        """The training that made a version.

        Raises:
            UnknownModelError: there is no such version, or no run is known of it.
            UnavailableError: the registry does not answer.
        """
        view = next((view for view in (await self.model(name)).versions if view.version == number), None)
        if view is None or view.run_id is None:
            raise UnknownModelError(f"no run is known of {name} version {number}", "see /models for what there is")
        return await in_thread(self._fleet.world.registry.run, view.run_id)

    async def _records(self, name: str) -> list[Version]:
        """The model's versions, the newest first: from the registry, else as last heard, else what is on disk."""
        catalog = self._fleet.catalog
        if catalog.reachable:
            asked = self._flights.do(name, lambda: in_thread(self._fleet.world.registry.versions, name))
            with suppress(HandfulError, TimeoutError):  # The watcher tells of a registry that is away.
                catalog.versions[name] = await asyncio.wait_for(asked, _PATIENCE)
        if name in catalog.versions:
            return catalog.versions[name]
        on_disk = {entry.key: entry.record for entry in await in_thread(self._fleet.world.cache.entries)}
        in_memory = {loaded.key: loaded.record for loaded in self._fleet.store}
        known = [record for key, record in (on_disk | in_memory).items() if key.name == name]
        return sorted(known, key=lambda record: -record.version)

    def _version(self, record: Version) -> VersionSummary:
        key = ModelVersion(record.name, record.version)
        loaded = self._fleet.store.get(key)
        refusal = self._fleet.refusals.get(key)
        served = self._fleet.catalog.champions.get(key.name) == key.version
        manifest = loaded.model.manifest if loaded else None
        pointing = [alias for alias, number in self._fleet.catalog.aliases(key.name).items() if number == key.version]
        return VersionSummary(
            version=key.version,
            aliases=sorted(pointing),
            created=record.created,
            run_id=record.run_id,
            loaded=loaded is not None,
            state="served" if served else "loaded" if loaded else "refused" if refusal else "available",
            reason=refusal.reason if refusal and not loaded else None,
            metrics=_metrics(record.tags) or (_numbers(manifest.metrics) if manifest else {}),
            architecture=record.tags.get("architecture") or (manifest.architecture if manifest else None),
            dataset=record.tags.get("dataset") or _dataset(manifest),
            backend=loaded.model.backend if loaded else None,
        )


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
