"""Average precision and its kin, by Ultralytics' own code, from boxes that our own pipeline found."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from ultralytics.models.yolo.detect import DetectionValidator
from ultralytics.utils.metrics import ConfusionMatrix, DetMetrics

from handful_core.vision.detections import Detections, box_iou
from handful_trainer.tasks.detection.resampling import BoxResampler

_MATCH_IOU = 0.45
"""Overlap from which a found box is the true one in the confusion matrix (Ultralytics' own)."""


class Scorer:
    """Collects images, then scores them.

    Args:
        classes: the model's class names.
    """

    def __init__(self, classes: Sequence[str]) -> None:
        self._names = dict(enumerate(classes))
        self._metrics = DetMetrics(self._names)
        self._images: list[tuple[Detections, Detections]] = []
        with tempfile.TemporaryDirectory() as folder:
            self._validator = DetectionValidator(save_dir=Path(folder))

    def add(self, name: str, truth: Detections, found: Detections, proposed: Detections) -> None:
        """Add an image.

        Args:
            name: the image's.
            truth: what is there.
            found: what is served, for the confusion matrix.
            proposed: what average precision and its curves are measured on.
        """
        overlap = torch.from_numpy(box_iou(truth.boxes, proposed.boxes))
        correct = self._validator.match_predictions(
            torch.from_numpy(proposed.classes), torch.from_numpy(truth.classes), overlap
        )
        self._metrics.update_stats(
            {
                "tp": correct.numpy(),
                "conf": proposed.scores,
                "pred_cls": proposed.classes,
                "target_cls": truth.classes,
                "target_img": np.unique(truth.classes),
                "im_name": name,
            }
        )
        self._images.append((truth, found))

    def scores(self) -> dict[str, Any]:
        """mAP50, mAP50_95, precision, recall, f1 and per_class."""
        self._metrics.process()
        box = self._metrics.box
        if not len(box.ap_class_index):  # No true box at all: there is nothing to be right about.
            return {"mAP50": 0.0, "mAP50_95": 0.0, "precision": 0.0, "recall": 0.0, "f1": 0.0, "per_class": {}}
        precision, recall, map50, map50_95 = (float(value) for value in box.mean_results())
        return {
            "mAP50": map50,
            "mAP50_95": map50_95,
            "precision": precision,
            "recall": recall,
            "f1": float(np.mean(box.f1)),
            "per_class": {self._name(c): self._class_scores(i, c) for i, c in enumerate(box.ap_class_index.tolist())},
        }

    def resampler(self) -> BoxResampler:
        """What scores resamples of these images, in the order in which they were added."""
        return BoxResampler(self._metrics.stats)

    def curves(self, folder: Path) -> None:
        """Draw precision-recall, F1, precision and recall curves into `folder`."""
        self._metrics.process(save_dir=folder, plot=True)

    def confusion(self, confidence: float) -> NDArray[np.int64]:
        """(classes + 1, classes + 1): rows what was found, columns what was there; the last is background."""
        return np.asarray(self._confusion(confidence).matrix, np.int64)

    def box_f1(self, confidence: float) -> float:
        """F1 score of all boxes together at this threshold, whatever their class; 0 where nothing is found rightly."""
        matrix = self.confusion(confidence)
        right = int(np.trace(matrix[:-1, :-1]))
        found, there = int(matrix[:-1].sum()), int(matrix[:, :-1].sum())
        return 2 * right / (found + there) if found + there else 0.0

    def draw_confusion(self, confidence: float, folder: Path) -> None:
        """Draw the confusion matrix, in numbers and as shares, into `folder`."""
        matrix = self._confusion(confidence)
        for normalize in (False, True):
            matrix.plot(normalize=normalize, save_dir=str(folder))

    def _confusion(self, confidence: float) -> ConfusionMatrix:
        matrix = ConfusionMatrix(names=self._names)
        for truth, found in self._images:
            known = truth.take(truth.classes < len(self._names))
            matrix.process_batch(
                {
                    "cls": torch.from_numpy(found.classes),
                    "conf": torch.from_numpy(found.scores),
                    "bboxes": torch.from_numpy(found.boxes),
                },
                {"cls": torch.from_numpy(known.classes), "bboxes": torch.from_numpy(known.boxes)},
                conf=confidence,
                iou_thres=_MATCH_IOU,
            )
        return matrix

    def _name(self, class_id: int) -> str:
        return self._names.get(class_id, f"class {class_id} (unknown to the model)")

    def _class_scores(self, place: int, class_id: int) -> dict[str, float]:
        precision, recall, map50, map50_95 = (float(value) for value in self._metrics.box.class_result(place))
        boxes = sum(int((truth.classes == class_id).sum()) for truth, _ in self._images)
        return {
            "mAP50": map50,
            "mAP50_95": map50_95,
            "precision": precision,
            "recall": recall,
            "f1": float(self._metrics.box.f1[place]),
            "boxes": boxes,
        }
