"""Detection, as the rest of the trainer knows it. What is heavy is imported when it is used."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from handful_core.errors import ConfigError
from handful_core.package import Thresholds
from handful_trainer.tasks.detection.label_format import BoxFormat
from handful_trainer.tasks.detection.settings import DetectionConfig, detection_config

if TYPE_CHECKING:
    from handful_core.package import Package
    from handful_core.runtime.model import VisionModel
    from handful_trainer.config import TrainingConfig
    from handful_trainer.dataset.label_issues.issue import FoundIssues
    from handful_trainer.dataset.prepared import PreparedDataset
    from handful_trainer.pipeline.job import TrainingJob
    from handful_trainer.tasks.detection.evaluate import Evaluation
    from handful_trainer.tasks.detection.layout import BoxTruth
    from handful_trainer.tasks.detection.parity import UltralyticsReference
    from handful_trainer.tasks.detection.quantize import Int8Variant
    from handful_trainer.tasks.engine import Estimate, ExportedGraph, TrainingListener

_FALLBACK_CONFIDENCE = 0.25
"""Ultralytics' own, where nothing chooses a better one."""
_SINGLE = "item"
"""What Ultralytics calls the one class of `single_cls`."""
_YOLO = "yolo"
"""Ultralytics' folder in a run's folder."""


class UltralyticsEngine:
    """YOLO, by Ultralytics."""

    config = DetectionConfig
    packages: tuple[str, ...] = ("torch", "torchvision", "ultralytics-opencv-headless")
    validation_metric = "val/mAP50_95"

    def configure(self, home: Path) -> None:
        """Set Ultralytics up."""
        from handful_trainer.tasks.detection.ultralytics import configure_ultralytics

        configure_ultralytics(home)

    def publishes(self, name: str) -> bool:
        """Is it one of the files that Ultralytics offers for download?"""
        from ultralytics.utils.downloads import GITHUB_ASSETS_NAMES

        return name in GITHUB_ASSETS_NAMES

    def validate(self, config: TrainingConfig, dataset: PreparedDataset, *, register: bool) -> None:
        """Refuse what would only fail once the training is over."""
        validate_against_dataset(detection_config(config), dataset, register=register)

    def estimate(self, job: TrainingJob) -> Estimate:
        """Train some batches in a folder that is thrown away."""
        from handful_trainer.tasks.detection.estimate import estimate

        return estimate(job)

    def train(self, job: TrainingJob, listener: TrainingListener, *, resume: bool) -> Path:
        """Train, or go on."""
        from handful_trainer.tasks.detection.train import train

        return train(job, listener, resume=resume)

    def best_weights(self, run: Path) -> Path:
        """The checkpoint of the best epoch."""
        return run / _YOLO / "weights" / "best.pt"

    def epochs_done(self, run: Path) -> int:
        """Lines of Ultralytics' table, less its heading."""
        return len((run / _YOLO / "results.csv").read_text(encoding="utf-8").splitlines()) - 1

    def plots(self, run: Path) -> list[Path]:
        """Ultralytics' pictures and its table."""
        folder = run / _YOLO
        return [*sorted(folder.glob("*.png")), *sorted(folder.glob("*.jpg")), folder / "results.csv"]

    def discard_checkpoints(self, run: Path, *, keep_best: bool) -> None:
        """Remove checkpoints, all or all but the best epoch's."""
        for path in (run / _YOLO / "weights").glob("*.pt"):
            if path.name != "best.pt" or not keep_best:
                path.unlink()

    def export(self, config: TrainingConfig, weights: Path, folder: Path) -> ExportedGraph:
        """Write the graph and the weights, without paths of this machine."""
        from handful_trainer.tasks.detection.export import export

        own = detection_config(config)
        return export(own, weights, folder, self.thresholds(own, {}))

    def thresholds(self, config: TrainingConfig, counts: Mapping[str, int]) -> Thresholds:
        """As configured; where classes count, one object is one box."""
        package = detection_config(config).package
        return Thresholds(
            confidence=_FALLBACK_CONFIDENCE if package.confidence == "auto" else package.confidence,
            iou=package.iou,
            class_agnostic=bool(counts) if package.class_agnostic == "auto" else package.class_agnostic,
        )

    def fit_package(self, config: TrainingConfig, model: VisionModel, dataset: PreparedDataset) -> Mapping[str, object]:
        """What is unlike the training images; the confidence that counts best, where it is to be chosen."""
        from handful_trainer.tasks.detection.evaluate import best_confidence, collect
        from handful_trainer.tasks.detection.limits import fit_limits

        fields = fit_limits(model, dataset)
        if detection_config(config).package.confidence == "auto" and model.manifest.counts:
            chosen = best_confidence(collect(model, dataset, "val"), model)
            fields["thresholds"] = model.manifest.thresholds.model_copy(update={"confidence": chosen})
        return fields

    def reference(self, config: TrainingConfig, model: VisionModel, weights: Path) -> UltralyticsReference:
        """The weights, run by Ultralytics."""
        from handful_trainer.tasks.detection.parity import UltralyticsReference

        return UltralyticsReference(model, weights, second_look=detection_config(config).package.second_look)

    def quantize(self, package: Package, dataset: PreparedDataset, folder: Path, images: int) -> Int8Variant:
        """Make an INT8 variant."""
        from handful_trainer.tasks.detection.quantize import quantize

        return quantize(package, dataset, folder, images)


class DetectionTask:
    """Boxes around objects."""

    name = "detect"
    package_task: Literal["detect"] = "detect"
    metrics: tuple[str, ...] = ("mAP50_95", "mAP50", "precision", "recall", "f1", "count_accuracy")
    labels = BoxFormat()
    engine = UltralyticsEngine()
    robustness = False
    answered = "counted"

    def evaluate(self, model: VisionModel, dataset: PreparedDataset, split: str) -> Evaluation:
        """Average precision, precision, recall, F1, and whether it counts right."""
        from handful_trainer.tasks.detection.evaluate import evaluate

        return evaluate(model, dataset, split)

    def find_label_issues(self, model: VisionModel | None, dataset: PreparedDataset) -> FoundIssues:
        """Boxes that contradict what a detector sees.

        Raises:
            ConfigError: there is no detector.
        """
        from handful_trainer.tasks.detection.label_issues import find_label_issues

        if model is None:
            raise ConfigError(
                "boxes are compared with what a detector sees, and none is named",
                "name one, such as --model models:/fingers@champion, or --package FILE",
            )
        return find_label_issues(model, dataset)

    def is_right(self, answer: Mapping[str, Any], dataset: PreparedDataset, labels: BoxTruth) -> bool:
        """Does it count what it should?"""
        _, class_ids = labels
        return bool(answer["count"] == sum(dataset.counts.get(dataset.classes[i], 0) for i in class_ids.tolist()))


def validate_against_dataset(config: DetectionConfig, dataset: PreparedDataset, *, register: bool = True) -> None:
    """Refuse what would only fail once the training is over.

    Args:
        config: the training's configuration.
        dataset: what it is trained on.
        register: whether the model goes to the registry, and so to the gate.

    Raises:
        ConfigError: the model could not be evaluated, or could not pass the gate.
    """
    if config.training.single_cls and _SINGLE not in dataset.classes:
        raise ConfigError(
            f"training.single_cls makes a model with the one class {_SINGLE}, which the dataset does not have",
            "leave it out, and give all boxes one label to train one class",
        )
    if register and config.gate.metric == "count_accuracy" and not dataset.counts:
        raise ConfigError(
            "gate.metric is count_accuracy, but no class of the dataset counts anything",
            "set dataset.counts, or another gate.metric",
        )


TASK = DetectionTask()
