"""What people read of an evaluation: metrics, curves, and test pictures with truth and prediction side by side."""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from jinja2 import Environment, PackageLoader, StrictUndefined

from handful_core.vision.decode import Pixels, decode_image
from handful_core.vision.detections import Detections, match
from handful_faces import publishing_blur
from handful_trainer.dataset.sources.base import captured_picture
from handful_trainer.tasks.detection.evaluate import Evaluation, Sample, scored

_SIDE = 320
"""Longest side of a picture on the page, in pixels."""
_QUALITY = 80
_COLUMNS = ("boxes", "mAP50", "mAP50_95", "precision", "recall", "f1")
_MATCH_IOU = 0.5
_TRUTH, _FOUND = (80, 175, 76), (60, 60, 220)
"""BGR."""


@dataclass(frozen=True, slots=True)
class Mistakes:
    """What is wrong with the answer to one image."""

    missed: int
    """True boxes that were not found."""
    invented: int
    """Found boxes where there is none."""
    mistaken: int
    """Boxes found with the wrong class."""
    counted: int
    """What the answer counts."""

    def badness(self, count: int) -> tuple[int, int]:
        """For sorting: wrong boxes, then how far the count is off."""
        return self.missed + self.invented + self.mistaken, abs(self.counted - count)


def write_evaluation(evaluation: Evaluation, folder: Path) -> Path:
    """Write metrics.json, the confusion matrix, the curves and the page of test pictures into `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "metrics.json").write_text(json.dumps(evaluation.as_json(), indent=2) + "\n", encoding="utf-8")
    scorer = scored(evaluation.samples, evaluation.classes)
    scorer.draw_confusion(evaluation.confidence, folder)
    scorer.curves(folder)
    write_gallery(evaluation, folder / f"{evaluation.split}_pictures.html")
    return folder


def write_gallery(evaluation: Evaluation, target: Path, limit: int = 48) -> Path:
    """Write a page that needs nothing beside it.

    Args:
        evaluation: gives images, truth and answers.
        target: the HTML file.
        limit: how many images; the worst ones. Captured pictures are judged and not shown: somebody may delete them.
    """
    judged = [(sample, find_mistakes(sample, evaluation)) for sample in evaluation.samples]
    judged.sort(key=lambda pair: pair[1].badness(pair[0].count), reverse=True)
    shown = [(sample, mistakes) for sample, mistakes in judged if not captured_picture(sample.image.name)]
    pages = Environment(
        loader=PackageLoader("handful_trainer.tasks.detection", ""),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    page = pages.get_template("gallery.html.j2").render(
        evaluation=evaluation,
        columns=_COLUMNS,
        wrong=sum(any(mistakes.badness(sample.count)) for sample, mistakes in judged),
        cards=[_card(sample, mistakes, evaluation) for sample, mistakes in shown[:limit]],
    )
    target.write_text(page, encoding="utf-8")
    return target


def find_mistakes(sample: Sample, evaluation: Evaluation) -> Mistakes:
    """Compare the answer at the evaluation's threshold with the truth."""
    found = sample.found.above(evaluation.confidence)
    pairs = match(sample.truth, found, _MATCH_IOU)
    mistaken = sum(int(sample.truth.classes[t] != found.classes[f]) for t, f in pairs)
    counted = found.count(evaluation.classes, evaluation.counts)
    return Mistakes(len(sample.truth) - len(pairs), len(found) - len(pairs), mistaken, counted)


def _card(sample: Sample, mistakes: Mistakes, evaluation: Evaluation) -> dict[str, object]:
    pixels = decode_image(sample.image.read_bytes())
    publishing_blur()(pixels)
    scale = min(1.0, _SIDE / max(pixels.shape[:2]))
    small: Pixels = np.asarray(cv2.resize(pixels, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA), np.uint8)
    found = sample.found.above(evaluation.confidence)
    return {
        "name": sample.image.name,
        "count": sample.count,
        "mistakes": mistakes,
        "truth": _drawn(small, sample.truth, scale, evaluation.classes, _TRUTH, scores=False),
        "found": _drawn(small, found, scale, evaluation.classes, _FOUND, scores=True),
    }


def _drawn(
    pixels: Pixels,
    boxes: Detections,
    scale: float,
    classes: Sequence[str],
    colour: tuple[int, int, int],
    *,
    scores: bool,
) -> str:
    """A picture with boxes, as a data URL."""
    picture = pixels.copy()
    for box, score, class_id in zip(boxes.boxes, boxes.scores, boxes.classes, strict=True):
        x1, y1, x2, y2 = (int(value) for value in np.round(box * scale))
        cv2.rectangle(picture, (x1, y1), (x2, y2), colour, 2)
        name = classes[class_id] if class_id < len(classes) else "?"
        text = f"{name} {score:.2f}" if scores else name
        (width, height), _ = cv2.getTextSize(text, cv2.FONT_HERSHEY_SIMPLEX, 0.5, 1)
        top = max(y1, height + 6)
        cv2.rectangle(picture, (x1, top - height - 6), (x1 + width + 4, top), colour, cv2.FILLED)
        cv2.putText(picture, text, (x1 + 2, top - 4), cv2.FONT_HERSHEY_SIMPLEX, 0.5, (255, 255, 255), 1, cv2.LINE_AA)
    encoded = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])[1]
    return f"data:image/jpeg;base64,{base64.b64encode(encoded.tobytes()).decode()}"
