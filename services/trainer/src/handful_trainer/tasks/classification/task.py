"""Classification, as the rest of the trainer knows it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal

from handful_trainer.tasks.classification.label_format import ClassFormat

if TYPE_CHECKING:
    from handful_core.runtime.model import VisionModel
    from handful_trainer.dataset.prepared import PreparedDataset
    from handful_trainer.tasks.classification.evaluate import Evaluation


class ClassificationTask:
    """What a whole image shows."""

    name = "classify"
    package_task: Literal["classify"] = "classify"
    metrics: tuple[str, ...] = ("macro_f1", "accuracy", "top5")
    labels = ClassFormat()
    engine = None
    answered = "classified"

    def evaluate(self, model: VisionModel, dataset: PreparedDataset, split: str) -> Evaluation:
        """Accuracy, macro F1, and both by class."""
        from handful_trainer.tasks.classification.evaluate import evaluate

        return evaluate(model, dataset, split)

    def is_right(self, answer: Mapping[str, Any], dataset: PreparedDataset, labels: int) -> bool:
        """Is its first class the right one?"""
        return bool(answer["probabilities"][0]["name"] == dataset.classes[labels])


TASK = ClassificationTask()
