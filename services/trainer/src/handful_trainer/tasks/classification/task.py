"""Classification, as the rest of the trainer knows it. What is heavy is imported when it is used."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from handful_core.errors import ConfigError
from handful_core.package import Thresholds
from handful_trainer.dataset.sources.base import SPLITS
from handful_trainer.tasks.classification.data.label_format import ClassFormat
from handful_trainer.tasks.classification.settings import ClassificationConfig, classification_config

if TYPE_CHECKING:
    from handful_core.package import Package
    from handful_core.runtime.model import VisionModel
    from handful_trainer.config import TrainingConfig
    from handful_trainer.dataset.label_issues.issue import FoundIssues
    from handful_trainer.dataset.prepared import PreparedDataset
    from handful_trainer.pipeline.job import TrainingJob
    from handful_trainer.pipeline.torchrun import ProcessGroup
    from handful_trainer.tasks.classification.evaluation.evaluate import Evaluation
    from handful_trainer.tasks.classification.export.parity import TorchReference
    from handful_trainer.tasks.engine import Estimate, ExportedGraph, TrainingListener, Variant

_TOP = 5
"""With so many classes or fewer, the truth is always among the first five."""
_CONFIDENCE = 0.5


class LightningEngine:
    """Networks of timm's, trained by Lightning."""

    config = ClassificationConfig
    packages: tuple[str, ...] = ("torch", "torchvision", "lightning", "timm", "safetensors", "onnxscript")
    validation_metric = "val/macro_f1"

    def configure(self, home: Path) -> None:  # noqa: ARG002
        """Set Lightning up."""
        from handful_trainer.tasks.classification.training.train import configure

        configure()

    def publishes(self, name: str) -> bool:
        """Is it one of timm's weights, or the package's?"""
        from handful_trainer.tasks.classification.training.weights import publishes

        return publishes(name)

    def validate(self, config: TrainingConfig, dataset: PreparedDataset, *, register: bool) -> None:
        """Refuse what would only fail once the training is over."""
        from handful_trainer.tasks.classification.network import Network
        from handful_trainer.tasks.classification.training.placement import placement
        from handful_trainer.tasks.classification.training.weights import check_weights

        own = classification_config(config)
        placement(own)
        validate_against_dataset(own, dataset, register=register)
        Network.of(own, dataset.classes).build(left_out=own.training.left_out)
        check_weights(own)

    def estimate(self, job: TrainingJob) -> Estimate:
        """Train some batches and throw them away."""
        from handful_trainer.tasks.classification.training.estimate import estimate

        return estimate(job)

    def train(self, job: TrainingJob, listener: TrainingListener, *, resume: bool) -> Path:
        """Train, or go on."""
        from handful_trainer.tasks.classification.training.train import train

        return train(job, listener, resume=resume)

    def share_out(self, config: TrainingConfig, group: ProcessGroup) -> None:
        """Find a device for each of torchrun's processes."""
        from handful_trainer.tasks.classification.training.placement import placement

        placement(classification_config(config), group)

    def follow(self, job: TrainingJob) -> None:
        """Train along with torchrun's first process."""
        from handful_trainer.tasks.classification.training.torchrun import follow

        follow(job)

    def best_weights(self, run: Path) -> Path:
        """Those of the best epoch."""
        return run / "lightning" / "best.safetensors"

    def epochs_done(self, run: Path) -> int:
        """Lines of the table, less its heading."""
        return len((run / "lightning" / "results.csv").read_text(encoding="utf-8").splitlines()) - 1

    def plots(self, run: Path) -> list[Path]:
        """Curves and table."""
        return [path for name in ("results.png", "results.csv") if (path := run / "lightning" / name).is_file()]

    def discard_checkpoints(self, run: Path, *, keep_best: bool) -> None:
        """Remove the last checkpoint, and the best weights too unless they are to be kept."""
        (run / "lightning" / "last.ckpt").unlink(missing_ok=True)
        if not keep_best:
            self.best_weights(run).unlink(missing_ok=True)

    def export(self, config: TrainingConfig, weights: Path, folder: Path) -> ExportedGraph:
        """Write the graph and the weights."""
        from handful_trainer.tasks.classification.export.graph import export

        return export(classification_config(config), weights, folder)

    def thresholds(self, config: TrainingConfig, counts: Mapping[str, int]) -> Thresholds:  # noqa: ARG002
        """A class that is surer than not."""
        return Thresholds(confidence=_CONFIDENCE)

    def fit_package(
        self,
        config: TrainingConfig,  # noqa: ARG002
        model: VisionModel,
        dataset: PreparedDataset,
    ) -> Mapping[str, object]:
        """Calibrate the probabilities, and find how sure the model may be."""
        from handful_trainer.tasks.classification.export.limits import fit_limits

        return fit_limits(model, dataset)

    def reference(self, config: TrainingConfig, model: VisionModel, weights: Path) -> TorchReference:  # noqa: ARG002
        """The weights, run by torch."""
        from handful_trainer.tasks.classification.export.parity import TorchReference

        return TorchReference(model, weights)

    def quantize(self, package: Package, dataset: PreparedDataset, folder: Path, images: int) -> Variant:  # noqa: ARG002
        """Refused.

        Raises:
            ConfigError: always.
        """
        raise ConfigError("classifiers have no INT8 variant", "keep FP32")


class ClassificationTask:
    """What a whole image shows."""

    name = "classify"
    package_task: Literal["classify"] = "classify"
    metrics: tuple[str, ...] = ("macro_f1", "accuracy", "top5")
    labels = ClassFormat()
    engine = LightningEngine()
    robustness = True
    answered = "classified"

    def evaluate(self, model: VisionModel, dataset: PreparedDataset, split: str) -> Evaluation:
        """How often it is right, how sure it is, and what its package knows of its limits."""
        from handful_trainer.tasks.classification.evaluation.evaluate import evaluate

        return evaluate(model, dataset, split)

    def find_label_issues(self, model: VisionModel | None, dataset: PreparedDataset) -> FoundIssues:
        """Images that a classifier which never saw their label calls something else."""
        from handful_trainer.tasks.classification.label_issues import find_label_issues

        return find_label_issues(model, dataset)

    def is_right(self, answer: Mapping[str, Any], dataset: PreparedDataset, labels: int) -> bool:
        """Is its first class the right one?"""
        return bool(answer["probabilities"][0]["name"] == dataset.classes[labels])


def validate_against_dataset(config: ClassificationConfig, dataset: PreparedDataset, *, register: bool = True) -> None:
    """Refuse what would only fail once the training is over.

    Args:
        config: the training's configuration.
        dataset: what it is trained on.
        register: whether the model goes to the registry, and so to the gate.

    Raises:
        ConfigError: nothing could be learnt, chosen or measured, or the model could not pass the gate.
    """
    if len(dataset.classes) < 2:
        raise ConfigError(
            f"the dataset has one class, {', '.join(dataset.classes)}: there is nothing to tell it from",
            "add images of another class",
        )
    if lacking := [split for split in SPLITS if not dataset.split_sizes.get(split)]:
        raise ConfigError(
            f"the dataset has no images for {' and '.join(lacking)}", "add some, or give it a share of dataset.split"
        )
    per_split = {split: Counter(class_id for _, class_id in dataset.split(split)) for split in SPLITS}
    shown, every = per_split["train"], sum(per_split.values(), Counter[int]())
    if single := [name for class_id, name in enumerate(dataset.classes) if every[class_id] == 1]:
        raise ConfigError(
            f"{' and '.join(single)} {'has' if len(single) == 1 else 'have'} one image, which cannot be in train, val "
            "and test",
            "add images of it, or leave it out: of dataset.classes, with dataset.unknown_labels: drop",
        )
    if empty := [name for class_id, name in enumerate(dataset.classes) if not shown[class_id]]:
        raise ConfigError(
            f"no training image shows {', '.join(empty)}", "add some, or leave the class out of dataset.classes"
        )
    if register and config.gate.metric == "top5" and len(dataset.classes) <= _TOP:
        raise ConfigError(
            f"gate.metric is top5, and the dataset has {len(dataset.classes)} classes", "set another gate.metric"
        )


TASK = ClassificationTask()
