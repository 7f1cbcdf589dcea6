"""A package beside Ultralytics' own predictions: same boxes, same scores."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from handful_core.package import OutputLayout
from handful_core.runtime.model import VisionModel
from handful_core.vision.agreement import MAX_SCORE_GAP, Agreement, compare_detections
from handful_core.vision.decode import Pixels
from handful_core.vision.detections import Detections
from handful_core.vision.postprocess import PostprocessOptions
from handful_trainer.tasks.detection.export import NMS_OPTION
from handful_trainer.tasks.detection.ultralytics import open_network


class UltralyticsReference:
    """The weights, run by Ultralytics itself, and the package that was made from them.

    Args:
        model: the package, loaded.
        weights: a `.pt` file.
        second_look: the package looks twice, so the weights have to.
    """

    def __init__(self, model: VisionModel, weights: Path, *, second_look: bool = False) -> None:
        manifest = model.manifest
        self._model = model
        self._yolo = open_network(weights)
        if second_look:
            from handful_trainer.tasks.detection.second_look import look_twice

            look_twice(self._yolo.model)
        self._arguments = {
            "imgsz": [manifest.input.height, manifest.input.width],
            "nms": False if NMS_OPTION[manifest.output.head] is False else None,
            "rect": False,
            "device": "cpu",
            "verbose": False,
        }

    def compare(self, pixels: Pixels) -> Agreement:
        """Let both find boxes in an image."""
        manifest = self._model.manifest
        confidence = manifest.thresholds.confidence
        options = self._model.postprocess_options(max(confidence - MAX_SCORE_GAP, 0.0))
        # Ultralytics suppresses across classes only where it suppresses: of other heads, the graph's rows are compared.
        options = replace(options, class_agnostic=options.class_agnostic and manifest.output.head is OutputLayout.RAW)
        (found,) = self._model.detect(pixels, options)
        return compare_detections(self.predict(pixels, options), found, confidence)

    def worst(self, agreements: Sequence[Agreement]) -> Agreement:
        """All of them in one."""
        return Agreement(
            matched=sum(a.matched for a in agreements),
            unmatched=sum(a.unmatched for a in agreements),
            worst_iou=min((a.worst_iou for a in agreements), default=1.0),
            worst_score_gap=max((a.worst_score_gap for a in agreements), default=0.0),
        )

    def predict(self, pixels: Pixels, options: PostprocessOptions) -> Detections:
        """What the weights find."""
        limits = {
            "conf": options.confidence,
            "iou": options.iou,
            "max_det": options.max_detections,
            "agnostic_nms": options.class_agnostic,
        }
        boxes = self._yolo.predict(pixels, **limits, **self._arguments)[0].boxes
        return Detections(
            boxes.xyxy.numpy().astype(np.float32).reshape(-1, 4),
            boxes.conf.numpy().astype(np.float32),
            boxes.cls.numpy().astype(np.int64),
        )
