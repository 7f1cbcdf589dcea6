"""Which pictures are kept: what the settings ask for, within the day's limit."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass

from handful_core.profile.answer import at_own_thresholds
from handful_core.review import Reason
from handful_core.review.choice import Scenes, uncertainty
from handful_core.vision.prediction import Prediction
from handful_serving.domain.prediction import PredictionResult
from handful_serving.settings import CaptureMode


@dataclass(frozen=True, slots=True)
class CaptureRules:
    """What the settings say.

    Attributes:
        mode: unsure: what the model is unsure of or a challenger answers otherwise, and the share; share: the share
            alone; all-of-source: everything from the sources.
        share: of all pictures, chosen by chance whatever was answered.
        threshold: how unsure a model has to be, 0 to 1.
        sources: only pictures from these, if there are any.
        daily: pictures of a model a day.
    """

    mode: CaptureMode
    share: float
    threshold: float
    sources: frozenset[str]
    daily: int

    def concern(self, source: str) -> bool:
        """Whether pictures from a source may be kept at all."""
        return self.mode != "off" and (not self.sources or source in self.sources)


@dataclass(frozen=True, slots=True)
class Choice:
    """A picture that is worth keeping."""

    reason: Reason
    score: float
    prediction: Prediction
    """At the model's own thresholds where these can be told."""


class Chooser:
    """Chooses within one day (UTC) and model.

    Args:
        rules: the settings.
        kept: pictures that were kept on this day by a process before.
        chance: for tests.
    """

    def __init__(self, rules: CaptureRules, kept: int = 0, chance: Callable[[], float] = random.random) -> None:
        self._rules = rules
        self._chance = chance
        self._scenes = Scenes(rules.daily)
        self.kept = kept

    @property
    def is_full(self) -> bool:
        """Whether the day's limit is reached."""
        return self.kept >= self._rules.daily

    def choose(self, result: PredictionResult) -> Choice | None:
        """Why a picture should be kept; None if it should not."""
        own = at_own_thresholds(result.prediction, result.manifest, result.confidence, result.iou)
        score = round(uncertainty(own, result.manifest), 4) if own is not None else 0.0
        shown = own or result.prediction
        if self._rules.mode == "all-of-source":
            return Choice("all", score, shown)
        if self._chance() < self._rules.share:
            return Choice("random", score, shown)
        is_unsure = self._rules.mode == "unsure" and score >= self._rules.threshold
        return Choice("unsure", score, shown) if is_unsure and self._is_new(result) else None

    def differed(self, result: PredictionResult) -> Choice | None:
        """The same for a picture that the challenger answered otherwise."""
        if self._rules.mode != "unsure" or not self._is_new(result):
            return None
        own = at_own_thresholds(result.prediction, result.manifest, result.confidence, result.iou)
        score = round(uncertainty(own, result.manifest), 4) if own is not None else 0.0
        return Choice("disagreement", score, own or result.prediction)

    def keep(self, result: PredictionResult) -> None:
        """A picture was kept."""
        self.kept += 1
        if result.image.frame is not None:
            self._scenes.keep(result.image.frame.vector)

    def _is_new(self, result: PredictionResult) -> bool:
        return result.image.frame is not None and self._scenes.is_new(result.image.frame.vector)
