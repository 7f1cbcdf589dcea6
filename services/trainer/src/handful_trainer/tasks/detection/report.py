"""Pictures and files of an evaluation, for MLflow and for people."""

from __future__ import annotations

import json
from pathlib import Path

from handful_trainer.tasks.detection.evaluate import Evaluation, scored
from handful_trainer.tasks.detection.gallery import write_gallery


def write_evaluation(evaluation: Evaluation, folder: Path) -> Path:
    """Write metrics.json, the confusion matrix, the curves and the page of test pictures into `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "metrics.json").write_text(json.dumps(evaluation.as_json(), indent=2) + "\n", encoding="utf-8")
    scorer = scored(evaluation.samples, evaluation.classes)
    scorer.draw_confusion(evaluation.confidence, folder)
    scorer.curves(folder)
    write_gallery(evaluation, folder / f"{evaluation.split}_pictures.html")
    return folder
