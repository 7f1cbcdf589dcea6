"""What people read of a classifier's evaluation: numbers with their intervals, charts, and the worst mistakes."""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from jinja2 import Environment, PackageLoader, StrictUndefined

from handful_core.vision.decode import decode_reduced
from handful_faces import publishing_blur
from handful_trainer.dataset.sources.base import captured_picture
from handful_trainer.tasks.classification.evaluation.charts import draw_charts
from handful_trainer.tasks.classification.evaluation.evaluation import Evaluation
from handful_trainer.tasks.classification.evaluation.predictions import write_predictions

_SIDE = 320
"""Longest side of a picture on the page, in pixels."""
_QUALITY = 80
_WORST = 48
_NAMES = {
    "macro_f1": "macro F1",
    "accuracy": "accuracy",
    "top5": "truth among the first five",
    "weighted_f1": "weighted F1",
    "roc_auc": "ROC AUC, one against the rest",
    "average_precision": "average precision",
    "ece": "calibration error (ECE)",
    "set_coverage": "prediction sets that hold the truth",
    "set_size": "classes in a prediction set",
    "out_of_distribution": "called unlike the training images",
}


def write_evaluation(evaluation: Evaluation, folder: Path) -> Path:
    """Write metrics.json, predictions.csv, the charts and the page into `folder`, which is made."""
    folder.mkdir(parents=True, exist_ok=True)
    answers = evaluation.truth, evaluation.probabilities, evaluation.paths
    write_predictions(folder / "predictions.csv", evaluation.classes, *answers)
    (folder / "metrics.json").write_text(json.dumps(evaluation.as_json(), indent=2) + "\n", encoding="utf-8")
    charts = draw_charts(evaluation, folder)
    write_page(evaluation, charts, folder / f"{evaluation.split}_pictures.html")
    return folder


def write_page(evaluation: Evaluation, charts: dict[str, Path], target: Path) -> None:
    """Write a page that needs nothing beside it.

    Args:
        evaluation: gives numbers, images and answers.
        charts: pictures by title.
        target: the HTML file.
    """
    pages = Environment(
        loader=PackageLoader("handful_trainer.tasks.classification", ""),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    wrong = mistakes(evaluation)
    # Somebody may delete a captured picture, and finds it nowhere afterwards.
    shown = [place for place in wrong if not captured_picture(evaluation.paths[place].name)]
    intervals, by_class = evaluation.intervals(), evaluation.class_intervals
    page = pages.get_template("evaluation.html.j2").render(
        evaluation=evaluation,
        numbers=[(_NAMES[name], value, intervals.get(name)) for name, value in evaluation.measured().items()],
        classes=[(name, values, by_class[name]) for name, values in evaluation.per_class.items()],
        charts={title: _address(path.read_bytes(), "png") for title, path in charts.items()},
        wrong=len(wrong),
        cards=[_card(evaluation, place) for place in shown[:_WORST]],
    )
    target.write_text(page, encoding="utf-8", errors="replace")


def mistakes(evaluation: Evaluation) -> list[int]:
    """Places of the images with a wrong answer, the surest first."""
    wrong = np.flatnonzero(~evaluation.right)
    return sorted(wrong.tolist(), key=lambda place: -_sureness(evaluation, place))


def _sureness(evaluation: Evaluation, place: int) -> float:
    """By how much the answer is more probable than the truth."""
    probabilities, truth = evaluation.probabilities[place], evaluation.truth[place]
    return float(probabilities.max() - (probabilities[truth] if truth < len(probabilities) else 0))


def _card(evaluation: Evaluation, place: int) -> dict[str, Any]:
    path, probabilities = evaluation.paths[place], evaluation.probabilities[place]
    truth = int(evaluation.truth[place])
    return {
        "picture": _picture(path),
        "name": path.name,
        "truth": evaluation.classes[truth],
        "truth_probability": float(probabilities[truth]) if truth < len(probabilities) else None,
        "answers": _first(probabilities, evaluation.classes),
        "unlike": evaluation.unlike is not None and bool(evaluation.unlike[place]),
    }


def _first(probabilities: np.typing.NDArray[np.float32], classes: Sequence[str]) -> list[tuple[str, float]]:
    return [(classes[c], float(probabilities[c])) for c in np.argsort(-probabilities)[:2]]


def _picture(path: Path) -> str:
    pixels = decode_reduced(path.read_bytes(), enough=_SIDE).pixels
    publishing_blur()(pixels)
    scale = min(1.0, _SIDE / max(pixels.shape[:2]))
    small = cv2.resize(pixels, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    _, data = cv2.imencode(".jpg", small, [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])
    return _address(data.tobytes(), "jpeg")


def _address(data: bytes, kind: str) -> str:
    return f"data:image/{kind};base64,{base64.b64encode(data).decode()}"
