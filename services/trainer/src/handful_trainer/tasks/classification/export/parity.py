"""A package beside the weights that it was made from, run by torch: same probabilities, first class and set."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from handful_core.runtime.model import VisionModel
from handful_core.vision.agreement import MAX_SCORE_GAP
from handful_core.vision.classification import in_set, softmax
from handful_core.vision.decode import Pixels
from handful_core.vision.preprocess import Floats, to_input
from handful_trainer.tasks.classification.network import read_weights

_TIE = 1e-4
"""Probabilities that differ by less are the same: of two such classes either may come first."""


@dataclass(frozen=True, slots=True)
class ClassAgreement:
    """How far two answers to one image, or to several, are apart."""

    images: int
    same_first: int
    """Images whose first class is the same."""
    same_set: int
    """Images whose prediction set is the same."""
    gap: float
    """Largest distance of a class's probabilities."""

    @property
    def ok(self) -> bool:
        """Same first class, same set, same probabilities within the tolerance."""
        return self.same_first == self.same_set == self.images and self.gap <= MAX_SCORE_GAP

    @property
    def severity(self) -> tuple[float, ...]:
        """Larger is worse: another first class, another set, then the distance."""
        return self.images - self.same_first, self.images - self.same_set, self.gap

    def __str__(self) -> str:
        agree = f"{self.same_first} first classes and {self.same_set} prediction sets of {self.images} agree"
        return f"{agree}, worst probability gap {self.gap:.6f}"


class TorchReference:
    """The weights, run by torch, and the package that was made from them.

    Args:
        model: the package, loaded.
        weights: a file that `write_weights` wrote.
    """

    def __init__(self, model: VisionModel, weights: Path) -> None:
        self._model = model
        self._module, _ = read_weights(weights)

    def compare(self, pixels: Pixels) -> ClassAgreement:
        """Let both answer an image."""
        manifest = self._model.manifest
        tensor, _ = to_input(pixels, manifest.input)
        with torch.inference_mode():
            logits: Floats = self._module(torch.from_numpy(tensor))[0].numpy()
        temperature = manifest.calibration.temperature if manifest.calibration else 1.0
        expected = softmax(logits / np.float32(temperature))
        least = manifest.prediction_sets.probability if manifest.prediction_sets else None
        return compare_probabilities(expected, np.asarray(self._model.predict(pixels).probabilities), least)

    def worst(self, agreements: Sequence[ClassAgreement]) -> ClassAgreement:
        """All of them in one."""
        return ClassAgreement(
            images=sum(a.images for a in agreements),
            same_first=sum(a.same_first for a in agreements),
            same_set=sum(a.same_set for a in agreements),
            gap=max((a.gap for a in agreements), default=0.0),
        )


def compare_probabilities(expected: Floats, actual: Floats, least: float | None = None) -> ClassAgreement:
    """Two answers to one image.

    Args:
        expected: (classes,)
        actual: (classes,)
        least: the probability from which on a class belongs to the prediction set; None if there are no sets.
    """
    same_first = expected.max() - expected[actual.argmax()] < _TIE
    same_set = True
    if least is not None:
        sure = (np.abs(expected - least) >= _TIE) & (np.abs(expected.max() - expected) >= _TIE)
        same_set = bool((in_set(expected, least) == in_set(actual, least))[sure].all())
    return ClassAgreement(1, int(same_first), int(same_set), float(np.abs(expected - actual).max()))
