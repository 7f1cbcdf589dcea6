"""A package beside the weights that it was made from, run by torch: same probabilities, same first class."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from handful_core.runtime.model import VisionModel
from handful_core.vision.agreement import MAX_SCORE_GAP
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
    gap: float
    """Largest distance of a class's probabilities."""

    @property
    def ok(self) -> bool:
        """Same first class, same probabilities within the tolerance."""
        return self.same_first == self.images and self.gap <= MAX_SCORE_GAP

    @property
    def severity(self) -> tuple[float, ...]:
        """Larger is worse: another first class, then the distance."""
        return self.images - self.same_first, self.gap

    def __str__(self) -> str:
        return f"{self.same_first} of {self.images} first classes agree, worst probability gap {self.gap:.6f}"


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
        tensor, _ = to_input(pixels, self._model.manifest.input)
        with torch.inference_mode():
            expected: Floats = self._module(torch.from_numpy(tensor)).softmax(dim=1)[0].numpy()
        return compare_probabilities(expected, np.asarray(self._model.predict(pixels).probabilities))

    def worst(self, agreements: Sequence[ClassAgreement]) -> ClassAgreement:
        """All of them in one."""
        return ClassAgreement(
            images=sum(a.images for a in agreements),
            same_first=sum(a.same_first for a in agreements),
            gap=max((a.gap for a in agreements), default=0.0),
        )


def compare_probabilities(expected: Floats, actual: Floats) -> ClassAgreement:
    """Two answers to one image.

    Args:
        expected: (classes,)
        actual: (classes,)
    """
    same = expected.max() - expected[actual.argmax()] < _TIE
    return ClassAgreement(1, int(same), float(np.abs(expected - actual).max()))
