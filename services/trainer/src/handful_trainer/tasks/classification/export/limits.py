"""What the images of a dataset say of the limits of a packaged classifier: how sure it may be, and of what.

Validation images fit the temperature and the two thresholds. They chose the best epoch as well, so the test images say
what came of it: `handful evaluate` measures calibration, coverage and false alarms.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

from handful_core.package import Calibration, PredictionSets
from handful_core.runtime.model import VisionModel
from handful_core.vision.classification import softmax
from handful_core.vision.preprocess import Floats
from handful_trainer.dataset.prepared import PreparedDataset
from handful_trainer.tasks.classification.export.graph import divide_logits
from handful_trainer.tasks.out_of_distribution import (
    answers_and_embeddings,
    conformal_quantile,
    fit_out_of_distribution,
)

COVERAGE = 0.95
"""Share of images whose true class is to be in the set."""
_SAMPLE = 2000
"""Training images that the reference of what is like them is made from at most."""
_COLDEST, _HOTTEST = 0.05, 20.0


def fit_limits(model: VisionModel, dataset: PreparedDataset) -> dict[str, Any]:
    """Fit them, put the temperature into the package's graph and the reference beside it.

    Args:
        model: the package, whose graph gives logits as they were trained.
        dataset: what it was trained on.

    Returns:
        Fields of the manifest.
    """
    manifest, folder = model.manifest, model.package.root
    samples = list(dataset.split("val"))
    truth = np.asarray([manifest.classes.index(dataset.classes[class_id]) for _, class_id in samples])
    logits, embeddings = answers_and_embeddings(model, [path for path, _ in samples], "calibrating")
    temperature = fit_temperature(logits, truth)
    divide_logits(folder / manifest.model, manifest.output.name, temperature)
    probabilities = softmax(logits / np.float32(temperature))
    fields: dict[str, Any] = {
        "calibration": Calibration(temperature=temperature, images=len(samples)),
        "prediction_sets": PredictionSets(
            coverage=COVERAGE, probability=fit_least_probability(probabilities, truth, COVERAGE), images=len(samples)
        ),
    }
    if embeddings is not None:
        fields["out_of_distribution"] = fit_out_of_distribution(model, dataset, embeddings, _SAMPLE)
    return fields


def fit_temperature(logits: Floats, truth: NDArray[np.int64]) -> float:
    """The temperature that makes the truth most likely (Guo et al., 2017, arXiv 1706.04599).

    Args:
        logits: (n, classes)
        truth: (n,), class ids.
    """
    given, right = torch.from_numpy(np.asarray(logits, np.float64)), torch.from_numpy(truth)
    log = torch.zeros(1, dtype=torch.float64, requires_grad=True)
    optimizer: Any = torch.optim.LBFGS([log], max_iter=100, line_search_fn="strong_wolfe")

    def loss() -> Any:
        optimizer.zero_grad()
        value = functional.cross_entropy(given / log.exp(), right)
        value.backward()  # type: ignore[no-untyped-call]
        return value

    optimizer.step(loss)
    # Where the model is always right, nothing holds it: the colder, the likelier.
    return float(np.clip(math.exp(float(log.detach())), _COLDEST, _HOTTEST))


def fit_least_probability(probabilities: Floats, truth: NDArray[np.int64], coverage: float) -> float:
    """The probability from which on a class belongs to the set, so that the truth does often enough.

    Split conformal prediction with the score 1 - probability of the truth: on images that are drawn as these were, the
    truth is in the set with at least this probability. With too few images every class belongs to it.

    Args:
        probabilities: (n, classes), calibrated.
        truth: (n,), class ids.
        coverage: 0 to 1.
    """
    found = probabilities[np.arange(len(truth)), truth]
    return -conformal_quantile(-found, coverage, most=0.0)
