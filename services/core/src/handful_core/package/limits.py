"""What a classifier's package knows of the limits of its model (schema 1.2).

All of it is optional: a package without it answers with probabilities alone, and a reader of schema 1.1 ignores it.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from handful_core.package.fields import FileName, Part, Unit

MAX_REFERENCE_BYTES = 300_000
"""Most that the file of reference embeddings may take."""


class ExtraOutput(Part):
    """Another output of the graph, beside the one that gives the answer."""

    name: str = Field(min_length=1)
    shape: tuple[Annotated[int, Field(ge=1)], ...] = Field(min_length=2)
    """For one image; the first size is 1."""


class ClassMaps(ExtraOutput):
    """An output of shape (1, classes, rows, columns): what each place of the image says for each class."""

    exact: bool
    """Whether a class's logit is the mean of its map plus a constant; else each place was asked as if it were all."""


class Calibration(Part):
    """How the probabilities were brought to say how often the model is right (Guo et al., 2017).

    The graph divides its logits by the temperature itself, so that every reader gets calibrated probabilities.
    """

    temperature: float = Field(gt=0, allow_inf_nan=False)
    images: int = Field(ge=1)
    """Validation images that it was fitted on."""


class PredictionSets(Part):
    """Which classes an image may well show: split conformal prediction (Sadinle, Lei and Wasserman, 2019).

    The set holds every class with at least this probability, and always the most probable one.
    """

    coverage: Unit = 0.95
    """Share of images whose true class is in its set, at least: what it was made for, on images such as these."""
    probability: Unit
    images: int = Field(ge=1)
    """Validation images that it was fitted on."""


class OutOfDistribution(Part):
    """When an image is unlike all that the model was trained on.

    The embeddings of the training images, brought to unit length, differ along few directions. An image's distance is
    the length of what its own has outside of these (the residual of Wang et al., 2022, arXiv 2203.10807). The file
    holds (1 + directions, d) float16, as `numpy.save` writes it: the mean, then directions at right angles.
    """

    file: FileName = "reference.npy"
    distance: float = Field(ge=0, le=2)
    """An image that is farther away is out of distribution. 95 % of the validation images are nearer."""
