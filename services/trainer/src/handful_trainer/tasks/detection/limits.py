"""What the images of a dataset say of the limits of a packaged detector."""

from __future__ import annotations

from typing import Any

from handful_core.runtime.model import VisionModel
from handful_trainer.dataset.prepared import PreparedDataset
from handful_trainer.tasks.out_of_distribution import answers_and_embeddings, fit_out_of_distribution

_SAMPLE = 500
"""Training images that the reference is made from at most: a detector takes its time for each."""


def fit_limits(model: VisionModel, dataset: PreparedDataset) -> dict[str, Any]:
    """Put what the training images are like beside the package's graph, if that has an embedding.

    Args:
        model: the package.
        dataset: what it was trained on; its validation images say how far is still like them.

    Returns:
        Fields of the manifest.
    """
    paths = dataset.images("val")
    if model.manifest.output.embedding is None or not paths:
        return {}
    _, embeddings = answers_and_embeddings(model, paths, "looking at validation images")
    unlike = None if embeddings is None else fit_out_of_distribution(model, dataset, embeddings, _SAMPLE)
    return {"out_of_distribution": unlike} if unlike else {}
