"""Trying a challenger: a share of the requests it answers (canary), or is asked beside the champion (shadow)."""

from __future__ import annotations

import asyncio
import hashlib
import logging
import random
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field

from handful_core.errors import HandfulError
from handful_core.vision.agreement import compare_detections
from handful_serving.domain.model_manager import ModelManager
from handful_serving.domain.model_ref import ModelRef, ModelVersion
from handful_serving.domain.model_store import LoadedModel
from handful_serving.domain.prediction import ImagePrediction, PredictionResult

CHALLENGER = "challenger"
_MOST = 2**64
_log = logging.getLogger(__name__)

AskChallenger = Callable[[LoadedModel], Awaitable[ImagePrediction | None]]
"""The challenger's answer to the same picture; None if there was no time for it."""


@dataclass(frozen=True, slots=True)
class TrafficSplit:
    """What a challenger gets, each 0 to 1."""

    canary: float = 0.0
    shadow: float = 0.0


@dataclass(slots=True)
class RolloutStats:
    """What came of a model's challenger since the start, or since its shares were set."""

    champion: int = 0
    """Requests that the champion answered."""
    challenger: int = 0
    """Requests that the challenger answered."""
    compared: dict[str, int] = field(default_factory=dict)
    """Shadow requests by outcome: agree, differ, failed, skipped."""


class Rollout:
    """Decides which version answers.

    Args:
        fleet: the models.
        shares: those of models that have no shares of their own.
    """

    def __init__(self, fleet: ModelManager, shares: TrafficSplit) -> None:
        self._fleet = fleet
        self._default = shares
        self._own: dict[str, TrafficSplit] = {}
        self._tallies: dict[str, RolloutStats] = {}
        self._running: set[asyncio.Task[object]] = set()
        self._shadowed: set[str] = set()

    def close(self) -> None:
        """Give up what is still being compared or loaded."""
        for task in list(self._running):
            task.cancel()

    def shares(self, name: str) -> TrafficSplit:
        """What a model's challenger gets."""
        return self._own.get(name, self._default)

    def set(self, name: str, shares: TrafficSplit) -> None:
        """Give a model's challenger other shares, until the process ends."""
        self._own[name] = shares
        self._tallies[name] = RolloutStats()

    def tally(self, name: str) -> RolloutStats:
        """What came of it."""
        return self._tallies.setdefault(name, RolloutStats())

    def challenger(self, name: str) -> ModelVersion | None:
        """The version that the alias names, unless it is the champion."""
        version = self._fleet.catalog.aliases(name).get(CHALLENGER)
        if version is None or version == self._fleet.catalog.champions.get(name):
            return None
        return ModelVersion(name, version)

    def names(self) -> Iterable[str]:
        """Models that can have a challenger."""
        return self._fleet.catalog.names()

    async def choose(self, wanted: ModelRef, caller: str) -> LoadedModel:
        """The model that answers a request.

        A request that names a version or an alias gets that. A challenger that is not in memory yet is loaded
        meanwhile: nobody waits for it.
        """
        if wanted.version is not None or wanted.alias is not None:
            return await self._fleet.find(wanted)
        champion = await self._fleet.find(wanted)
        name = champion.key.name
        share = self.shares(name).canary
        key = self.challenger(name) if share else None
        if key is not None and _place(name, caller) < share and (loaded := self._in_memory(key)):
            return loaded
        return champion

    def answered(self, wanted: ModelRef, key: ModelVersion) -> None:
        """Count an answer, unless it was of a version or an alias that the request named."""
        if wanted.version is None and wanted.alias is None:
            tally = self.tally(key.name)
            if key == self.challenger(key.name):
                tally.challenger += 1
            else:
                tally.champion += 1

    def shadow(self, wanted: ModelRef, prediction: PredictionResult, ask: AskChallenger) -> None:
        """Compare a champion's answer with the challenger's, later, if the shares say so."""
        name = prediction.key.name
        share = self.shares(name).shadow
        named = wanted.version is not None or wanted.alias is not None
        if not share or named or random.random() >= share:  # noqa: S311  # No secret.
            return
        key = self.challenger(name)
        if key is None or key == prediction.key:
            return
        loaded = self._in_memory(key)
        if loaded is None or name in self._shadowed:  # One at a time: pictures wait in memory.
            self._note(name, "skipped")
            return
        self._shadowed.add(name)
        self._spawn(self._compare(loaded, prediction, ask))

    async def _compare(self, challenger: LoadedModel, prediction: PredictionResult, ask: AskChallenger) -> None:
        name = prediction.key.name
        try:
            outcome = await ask(challenger)
        except HandfulError as error:
            _log.warning("%s failed as a shadow: %s", challenger.key, error, extra={"model": name})
            self._note(name, "failed")
        else:
            verdict = "skipped" if outcome is None else "agree" if _agree(prediction, outcome) else "differ"
            self._note(name, verdict)
        finally:
            self._shadowed.discard(name)

    def _in_memory(self, key: ModelVersion) -> LoadedModel | None:
        loaded = self._fleet.store.get(key)
        if loaded is None and self._fleet.refusals.get(key) is None and self._fleet.store.can_hold(key):
            self._spawn(self._load(key))
        return loaded

    async def _load(self, key: ModelVersion) -> None:
        try:
            await self._fleet.find(ModelRef(key.name, key.version))
        except HandfulError as error:  # The loader told of it, and keeps a refusal.
            _log.debug("the challenger %s cannot be loaded: %s", key, error)

    def _note(self, name: str, outcome: str) -> None:
        compared = self.tally(name).compared
        compared[outcome] = compared.get(outcome, 0) + 1
        self._fleet.world.observer.compared(name, outcome)

    def _spawn(self, work: Awaitable[object]) -> None:
        task = asyncio.ensure_future(work)
        self._running.add(task)
        task.add_done_callback(self._running.discard)


def _place(name: str, caller: str) -> float:
    """Where between 0 and 1 a caller stands: always the same place for a model, so that a larger share keeps all."""
    if not caller:
        return random.random()  # noqa: S311  # No secret.
    digest = hashlib.sha256(f"{name}\0{caller}".encode()).digest()
    return int.from_bytes(digest[:8], "big") / _MOST


def _agree(prediction: PredictionResult, outcome: ImagePrediction) -> bool:
    """The same boxes (same class, overlap of a half) and count, or the same most probable class."""
    ours, theirs = prediction.answer, outcome.answer
    if ours.top is not None and theirs.top is not None:
        return ours.top[0] == theirs.top[0]
    same = compare_detections(ours.detections, theirs.detections, prediction.confidence)
    return same.unmatched == 0 and ours.count == theirs.count
