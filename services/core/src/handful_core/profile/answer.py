"""What a model's answer is like: how much it found, of what, how sure it is."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from handful_core.package import Manifest
from handful_core.profile.features import MOST_COUNTED_CLASSES, FeatureValue, class_count
from handful_core.vision.detections import Detections
from handful_core.vision.prediction import Prediction
from handful_core.vision.preprocess import Floats

_EMPTY: dict[str, FeatureValue] = dict.fromkeys(
    ("score_largest", "score_mean", "score_smallest", "box_area", "box_area_largest", "box_aspect", "box_x", "box_y")
)


def answer_features(prediction: Prediction, manifest: Manifest, width: int, height: int) -> dict[str, FeatureValue]:
    """The features of an answer.

    Args:
        prediction: at the model's own thresholds, boxes in pixels of the upright image.
        manifest: the model's.
        width: of that image, in pixels.
        height: of that image, in pixels.
    """
    if prediction.probabilities is not None:
        return _of_classification(prediction, prediction.probabilities, manifest)
    return _of_detections(prediction.detections, manifest, width, height)


def at_own_thresholds(prediction: Prediction, manifest: Manifest, confidence: float, iou: float) -> Prediction | None:
    """What the model would have answered at its own thresholds; None where that cannot be told.

    A request may ask at others. Its detections would look as if the world had changed.

    Args:
        prediction: the answer.
        manifest: the model's.
        confidence: at which it was asked.
        iou: at which it was asked.
    """
    own = manifest.thresholds
    if prediction.probabilities is not None or (confidence, iou) == (own.confidence, own.iou):
        return prediction
    if iou != own.iou or confidence > own.confidence:
        return None
    return replace(prediction, detections=prediction.detections.above(own.confidence))


def _of_detections(found: Detections, manifest: Manifest, width: int, height: int) -> dict[str, FeatureValue]:
    """Number, classes, scores; area as a share of the image's, width by height, and place of the centre, 0 to 1."""
    names, classes = manifest.classes, found.classes.tolist()
    features: dict[str, FeatureValue] = {
        "detections": len(found),
        "first_class": names[classes[0]] if classes else "",
        **(_of_boxes(found, width, height) if classes else _EMPTY),
    }
    if manifest.counts:
        features["count"] = found.count(names, manifest.counts)
    if len(names) <= MOST_COUNTED_CLASSES:
        features |= {class_count(name).name: classes.count(i) for i, name in enumerate(names)}
    return features


def _of_boxes(found: Detections, width: int, height: int) -> dict[str, FeatureValue]:
    boxes, scores = found.boxes / np.array([width, height, width, height], np.float32), found.scores
    sides = np.maximum(boxes[:, 2:] - boxes[:, :2], 1e-6)
    areas = sides[:, 0] * sides[:, 1]
    x, y = ((boxes[:, :2] + boxes[:, 2:]) / 2).mean(axis=0).tolist()
    # The mean of logarithms: a box twice as wide as high and one twice as high as wide are square together.
    aspect = math.exp(float(np.log(sides[:, 0] * width / (sides[:, 1] * height)).mean()))
    return {
        "score_largest": round(float(scores.max()), 5),
        "score_mean": round(float(scores.mean()), 5),
        "score_smallest": round(float(scores.min()), 5),
        "box_area": round(float(areas.mean()), 6),
        "box_area_largest": round(float(areas.max()), 6),
        "box_aspect": round(aspect, 4),
        "box_x": round(x, 5),
        "box_y": round(y, 5),
    }


def _of_classification(prediction: Prediction, probabilities: Floats, manifest: Manifest) -> dict[str, FeatureValue]:
    """The first class, its probability and what it is ahead by, the entropy as a share of its largest."""
    first = int(np.argmax(probabilities))
    ranked = np.sort(np.asarray(probabilities, np.float64))[::-1]
    second = float(ranked[1]) if len(ranked) > 1 else 0.0
    entropy = -float(np.sum(ranked * np.log(np.maximum(ranked, 1e-12))))
    features: dict[str, FeatureValue] = {
        "first_class": manifest.classes[first],
        "probability": round(float(ranked[0]), 5),
        "margin": round(float(ranked[0]) - second, 5),
        "entropy": round(entropy / math.log(max(2, len(ranked))), 5),
    }
    if manifest.prediction_sets:
        classes = prediction.prediction_set
        features["set_size"] = None if classes is None else len(classes)
    if manifest.out_of_distribution:
        features["distance"] = None if prediction.distance is None else round(prediction.distance, 5)
    return features
