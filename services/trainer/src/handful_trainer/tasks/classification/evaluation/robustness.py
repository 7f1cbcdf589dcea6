"""How a classifier does on worse pictures: out of focus, taken at dusk, saved small, noisy.

Kinds are those of ImageNet-C (Hendrycks and Dietterich, 2019) that telephones in the field make, at two strengths.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from handful_core.console import progress
from handful_core.runtime.model import VisionModel
from handful_core.vision.decode import Pixels, decode_image
from handful_trainer.tasks.bootstrap import interval, resamples

IMAGES = 200
"""At most so many are tried: eight times each."""
_LARGER = 2
"""Images are first brought to so many times the network's input: it would not see noise in a large photo's pixels."""


def sample(truth: NDArray[np.int64]) -> NDArray[np.int64]:
    """The places of at most `IMAGES` images, spread over the classes as all are."""
    by_class = np.argsort(truth, kind="stable")
    return np.sort(by_class[np.linspace(0, len(truth) - 1, min(IMAGES, len(truth))).astype(np.int64)])


def measure_robustness(
    model: VisionModel, paths: list[Path], truth: NDArray[np.int64], right: NDArray[np.bool_]
) -> dict[str, Any]:
    """Let a model answer worse copies of images.

    Args:
        model: the classifier.
        paths: the images.
        truth: (images,), class ids of the model, or beyond them.
        right: (images,), where it was right on the images as they are.
    """
    hits: dict[str, list[bool]] = {name: [] for name in WORSE}
    with progress() as bar:
        for number, path in enumerate(bar.track(paths, description="trying worse pictures")):
            pixels = _brought_near(decode_image(path.read_bytes()), model)
            for name, worsen in WORSE.items():
                found = model.predict(worsen(pixels, np.random.default_rng(number))).top
                hits[name].append(found is not None and found[0] == truth[number])
    return {
        "images": len(paths),
        "accuracy": float(right.mean()),
        "conditions": [_condition(name, np.asarray(found), right) for name, found in hits.items()],
    }


def _condition(name: str, hits: NDArray[np.bool_], right: NDArray[np.bool_]) -> dict[str, Any]:
    """How many answers are right, and how many fewer than on the images as they are: in pairs."""
    lost, draws = right.astype(np.float64) - hits, resamples(len(hits))
    kind, strength = name.split(" ")
    return {
        "kind": kind,
        "strength": strength,
        "accuracy": float(hits.mean()),
        "interval": list(interval(draws @ hits / len(hits), len(hits))),
        "lost": float(lost.mean()),
        "lost_interval": list(interval(draws @ lost / len(hits))),
    }


def _brought_near(pixels: Pixels, model: VisionModel) -> Pixels:
    side = _LARGER * max(model.manifest.input.width, model.manifest.input.height)
    shrink = min(1.0, side / max(pixels.shape[:2]))
    return np.asarray(cv2.resize(pixels, None, fx=shrink, fy=shrink, interpolation=cv2.INTER_AREA), np.uint8)


def blur(pixels: Pixels, share: float) -> Pixels:
    """Out of focus: a Gaussian whose deviation is a share of the longer side."""
    return np.asarray(cv2.GaussianBlur(pixels, (0, 0), share * max(pixels.shape[:2])), np.uint8)


def darken(pixels: Pixels, light: float) -> Pixels:
    """With so much of the light: the values of sRGB are light to the power of 1 / 2.2."""
    return np.asarray(np.rint(pixels * light ** (1 / 2.2)), np.uint8)


def compress(pixels: Pixels, quality: int) -> Pixels:
    """As a JPEG of this quality has it."""
    _, data = cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, quality])
    return np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR), np.uint8)


def add_noise(pixels: Pixels, deviation: float, rng: np.random.Generator) -> Pixels:
    """With Gaussian noise of this deviation, of 255."""
    return np.asarray(np.clip(np.rint(pixels + rng.normal(0, deviation, pixels.shape)), 0, 255), np.uint8)


WORSE: Mapping[str, Callable[[Pixels, np.random.Generator], Pixels]] = {
    "blur mild": lambda pixels, _: blur(pixels, 0.004),
    "blur strong": lambda pixels, _: blur(pixels, 0.01),
    "darkness mild": lambda pixels, _: darken(pixels, 0.3),
    "darkness strong": lambda pixels, _: darken(pixels, 0.1),
    "jpeg mild": lambda pixels, _: compress(pixels, 30),
    "jpeg strong": lambda pixels, _: compress(pixels, 10),
    "noise mild": lambda pixels, rng: add_noise(pixels, 12, rng),
    "noise strong": lambda pixels, rng: add_noise(pixels, 30, rng),
}
"""Kind and strength, and what makes an image so."""
