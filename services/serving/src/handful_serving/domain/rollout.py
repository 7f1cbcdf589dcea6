"""Trying a challenger: it answers a share of the requests (canary), or shadows the champion for a share of them."""

from __future__ import annotations

import asyncio
import hashlib
import logging
import random
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field

from handful_core.errors import HandfulError
from handful_core.package import Manifest
from handful_core.vision.agreement import compare_detections
from handful_core.vision.prediction import Prediction
from handful_serving.domain.model_manager import ModelManager
from handful_serving.domain.model_ref import ModelRef, ModelVersion
from handful_serving.domain.model_store import LoadedModel
from handful_serving.domain.prediction import ImagePrediction, PredictionResult

CHALLENGER = "challenger"
_HASH_RANGE = 2**64
_log = logging.getLogger(__name__)

AskChallenger = Callable[[], Awaitable[ImagePrediction | None]]
"""The challenger's prediction of the same image; None if there was no time for it."""
OnDifference = Callable[[PredictionResult], None]
"""What is told of a champion's result to which the challenger did not agree."""


@dataclass(frozen=True, slots=True)
class TrafficSplit:
    """What a challenger gets, each 0 to 1."""

    canary: float = 0.0
    shadow: float = 0.0


@dataclass(slots=True)
class RolloutStats:
    """What came of a model's challenger since the start, or since its split was set."""

    champion: int = 0
    """Requests that the champion answered."""
    challenger: int = 0
    """Requests that the challenger answered."""
    compared: dict[str, int] = field(default_factory=dict)
    """Shadow requests by outcome: agree, differ, failed, skipped."""


class Rollout:
    """Decides which version answers.

    Args:
        manager: the models.
        split: what a challenger gets, until `set_split` says otherwise for its model.
    """

    def __init__(self, manager: ModelManager, split: TrafficSplit) -> None:
        self._manager = manager
        self._default = split
        self._splits: dict[str, TrafficSplit] = {}
        self._stats: dict[str, RolloutStats] = {}
        self._tasks: set[asyncio.Task[object]] = set()
        self._shadowed: set[str] = set()
        """Models whose challenger is being asked."""

    def close(self) -> None:
        """Cancel what is still being compared or loaded."""
        for task in list(self._tasks):
            task.cancel()

    def split(self, name: str) -> TrafficSplit:
        """What a model's challenger gets."""
        return self._splits.get(name, self._default)

    def set_split(self, name: str, split: TrafficSplit) -> None:
        """Set what a model's challenger gets, until the process ends, and begin to count anew."""
        self._splits[name] = split
        self._stats[name] = RolloutStats()

    def stats(self, name: str) -> RolloutStats:
        """What came of it."""
        return self._stats.setdefault(name, RolloutStats())

    def challenger(self, name: str) -> ModelVersion | None:
        """The version that the alias names, unless it is the champion."""
        version = self._manager.catalog.aliases(name).get(CHALLENGER)
        if version is None or version == self._manager.catalog.champions.get(name):
            return None
        return ModelVersion(name, version)

    def names(self) -> Iterable[str]:
        """Models that can have a challenger."""
        return self._manager.catalog.names()

    async def choose(self, ref: ModelRef, caller: str) -> LoadedModel:
        """The model that answers a request.

        A request that names a version or an alias gets that. A challenger that is not in memory yet is loaded in the
        background: no request waits for it.
        """
        loaded = await self._manager.find(ref)
        if ref.is_pinned:
            return loaded
        name = loaded.model_version.name
        share = self.split(name).canary
        challenger = self.challenger(name) if share else None
        if challenger is None or _bucket(name, caller) >= share:
            return loaded
        return self._in_memory(challenger) or loaded

    def count(self, ref: ModelRef, model_version: ModelVersion) -> None:
        """Count a prediction, unless the request named its version or alias."""
        if ref.is_pinned:
            return
        stats = self.stats(model_version.name)
        if model_version == self.challenger(model_version.name):
            stats.challenger += 1
        else:
            stats.champion += 1

    def shadow(self, ref: ModelRef, answering: ModelVersion) -> LoadedModel | None:
        """The challenger that is to be asked beside the version that answers, if the split says so: see `compare`."""
        name = answering.name
        share = self.split(name).shadow
        if not share or ref.is_pinned or random.random() >= share:  # noqa: S311  # No secret.
            return None
        challenger = self.challenger(name)
        if challenger is None or challenger == answering:
            return None
        loaded = self._in_memory(challenger)
        if loaded is None or name in self._shadowed:  # One at a time: each keeps a decoded image in memory.
            self._record(name, "skipped")
            return None
        return loaded

    def compare(
        self, challenger: LoadedModel, result: PredictionResult, ask: AskChallenger, on_difference: OnDifference
    ) -> None:
        """Compare a champion's prediction with the challenger's, in the background."""
        self._shadowed.add(result.model_version.name)
        self._spawn(self._compare(challenger, result, ask, on_difference))

    async def _compare(
        self, challenger: LoadedModel, result: PredictionResult, ask: AskChallenger, on_difference: OnDifference
    ) -> None:
        name = result.model_version.name
        try:
            shadow = await ask()
        except HandfulError as error:
            _log.warning("%s failed as a shadow: %s", challenger.model_version, error, extra={"model": name})
            self._record(name, "failed")
        else:
            manifest = challenger.model.manifest
            outcome = "skipped" if shadow is None else "agree" if _agree(result, shadow, manifest) else "differ"
            self._record(name, outcome)
            if outcome == "differ":
                on_difference(result)
        finally:
            self._shadowed.discard(name)

    def _in_memory(self, model_version: ModelVersion) -> LoadedModel | None:
        """The version if it is loaded. If not, its load begins, unless it failed lately or would not stay."""
        manager = self._manager
        loaded = manager.store.get(model_version)
        if (
            loaded is None
            and manager.load_failures.get(model_version) is None
            and manager.store.can_hold(model_version)
        ):
            self._spawn(self._load(model_version))
        return loaded

    async def _load(self, model_version: ModelVersion) -> None:
        try:
            await self._manager.find(ModelRef(model_version.name, model_version.version))
        except HandfulError as error:  # The loader has logged it, and remembers the failure.
            _log.debug("the challenger %s cannot be loaded: %s", model_version, error)

    def _record(self, name: str, outcome: str) -> None:
        compared = self.stats(name).compared
        compared[outcome] = compared.get(outcome, 0) + 1
        self._manager.dependencies.observer.compared(name, outcome)

    def _spawn(self, work: Awaitable[object]) -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)  # The event loop only keeps weak references to tasks.
        task.add_done_callback(self._tasks.discard)


def _bucket(name: str, caller: str) -> float:
    """A number from 0 to 1 by which a caller is assigned: the same for a model each time, so a canary is sticky.

    A caller stays with the challenger when the share grows.
    """
    if not caller:
        return random.random()  # noqa: S311  # No secret.
    digest = hashlib.sha256(f"{name}\0{caller}".encode()).digest()
    return int.from_bytes(digest[:8], "big") / _HASH_RANGE


def _agree(result: PredictionResult, shadow: ImagePrediction, manifest: Manifest) -> bool:
    """The same boxes (same class, overlap of a half) and count; of classifiers the same first class and prediction set.

    Args:
        result: the champion's.
        shadow: the challenger's.
        manifest: the challenger's: it may number its classes otherwise.
    """
    if result.manifest.task != manifest.task:
        return False
    champion, challenger = result.prediction, shadow.prediction
    if manifest.task == "classify":
        (first, own), (other_first, other) = _named(champion, result.manifest), _named(challenger, manifest)
        return first == other_first and (own is None or other is None or own == other)
    found = challenger.detections.renumbered(manifest.classes, result.manifest.classes)
    matched = compare_detections(champion.detections, found, result.confidence)
    return matched.unmatched == 0 and champion.count == challenger.count


def _named(prediction: Prediction, manifest: Manifest) -> tuple[str | None, frozenset[str] | None]:
    """A classifier's first class, and its prediction set if it has any."""
    first = manifest.classes[prediction.top[0]] if prediction.top else None
    classes = prediction.prediction_set
    return first, None if classes is None else frozenset(manifest.classes[each] for each in classes)
