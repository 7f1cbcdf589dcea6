"""The features of one image and its answer: their names, and how each is to be compared."""

from __future__ import annotations

from typing import Literal, NamedTuple

from handful_core.package.manifest import Manifest

FeatureKind = Literal["continuous", "count", "category"]
FeatureValue = float | int | str | None
"""None where an image has no such value: the quality of a PNG, the score of no detection."""


class Feature(NamedTuple):
    """A number or a word that every image has."""

    name: str
    kind: FeatureKind
    """continuous: a number; count: a whole number from 0; category: a word."""


def _continuous(*names: str) -> tuple[Feature, ...]:
    return tuple(Feature(name, "continuous") for name in names)


FEATURES_OF_IMAGE = (
    *_continuous(
        "megapixels", "aspect", "brightness", "contrast", "sharpness", "green_red", "blue_yellow", "saturation",
        "jpeg_quality",
    ),
    Feature("format", "category"),
)  # fmt: skip
"""Of the image alone; see `handful_core.profile.appearance`."""

FEATURES_OF_DETECTIONS = (
    Feature("detections", "count"),
    Feature("first_class", "category"),
    *_continuous(
        "score_largest", "score_mean", "score_smallest", "box_area", "box_area_largest", "box_aspect", "box_x", "box_y",
    ),
)  # fmt: skip
"""Of a detector's answer; see `handful_core.profile.answer`."""

FEATURES_OF_CLASSIFICATION = (
    Feature("first_class", "category"),
    *_continuous("probability", "margin", "entropy"),
)
"""Of a classifier's answer; `set_size` and `distance` come with what its package knows of its limits."""

COUNT = Feature("count", "count")
"""What an image counts, of models whose classes count."""
SET_SIZE = Feature("set_size", "count")
DISTANCE = Feature("distance", "continuous")
EMBEDDING_REST = Feature("embedding_rest", "continuous")
"""What the projection leaves of an embedding: the length of what lies outside of its directions."""
MOST_COUNTED_CLASSES = 20
"""A model with more classes has no count for each of them: a few images would hold each."""


def embedding_features(size: int) -> tuple[Feature, ...]:
    """`embedding_00` and so on: the coordinates of an embedding along a projection's directions, and the rest."""
    return (*_continuous(*(f"embedding_{i:02}" for i in range(size))), EMBEDDING_REST)


def class_count(name: str) -> Feature:
    """How many detections of a class there are."""
    return Feature(f"detections.{name}", "count")


def features_of_model(manifest: Manifest) -> tuple[Feature, ...]:
    """The features that each image of a model has, in order."""
    answer = _of_detector(manifest) if manifest.task == "detect" else _of_classifier(manifest)
    size = manifest.profile.directions if manifest.profile and manifest.profile.projection else 0
    return (*FEATURES_OF_IMAGE, *answer, *(embedding_features(size) if size else ()))


def _of_detector(manifest: Manifest) -> tuple[Feature, ...]:
    counted = manifest.classes if len(manifest.classes) <= MOST_COUNTED_CLASSES else ()
    return (
        *FEATURES_OF_DETECTIONS,
        *((COUNT,) if manifest.counts else ()),
        *(class_count(name) for name in counted),
    )


def _of_classifier(manifest: Manifest) -> tuple[Feature, ...]:
    return (
        *FEATURES_OF_CLASSIFICATION,
        *((SET_SIZE,) if manifest.prediction_sets else ()),
        *((DISTANCE,) if manifest.out_of_distribution else ()),
    )
