"""Classification, as the rest of the trainer knows it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

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

    def evaluate(self, model: VisionModel, dataset: PreparedDataset, split: str) -> Evaluation:
        """Accuracy, macro F1, and both by class."""
        from handful_trainer.tasks.classification.evaluate import evaluate

        return evaluate(model, dataset, split)


TASK = ClassificationTask()
