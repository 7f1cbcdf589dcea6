"""A whole task in one file: it learns the mean colour of each class, and answers with the nearest.

Nothing in the trainer knows of it. A test installs it by an entry point, as another distribution would:

    install_toy_task(tmp_path, monkeypatch)
    load_config(Path("toy.yaml"))        # task: toy
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from handful_core.errors import ConfigError
from handful_core.package import Input, Output, OutputLayout, Package, Thresholds
from handful_core.runtime.model import VisionModel
from handful_core.vision.decode import Pixels, decode_image
from handful_core.vision.preprocess import to_input
from handful_trainer.config.settings import (
    AugmentationConfig,
    GateConfig,
    ModelConfig,
    PackageConfig,
    TrainingConfig,
    TrainingSettings,
)
from handful_trainer.dataset.label_issues.issue import FoundIssues
from handful_trainer.dataset.prepared import PreparedDataset
from handful_trainer.pipeline.job import TrainingJob
from handful_trainer.tasks.classification.data.label_format import ClassFormat
from handful_trainer.tasks.classification.evaluation.evaluate import Evaluation, evaluate
from handful_trainer.tasks.engine import WEIGHTS, Estimate, ExportedGraph, TrainingListener, Variant

_OPSET = 17


class ToyModel(ModelConfig):
    """There is one."""

    @property
    def architecture(self) -> str:
        """Its name."""
        return "mean-colour"


class ToyTraining(TrainingSettings):
    """It is trained in one step; more epochs see the images again."""

    epochs: int = 2
    imgsz: int = 32


class ToyGate(GateConfig):
    """Accuracy, by default."""

    metric: Literal["accuracy", "macro_f1"] = "accuracy"


class ToyConfig(TrainingConfig):
    """A toy's training."""

    task: ClassVar[str] = "toy"
    model: ToyModel = ToyModel()
    training: ToyTraining = ToyTraining()
    augmentation: AugmentationConfig = AugmentationConfig()
    package: PackageConfig = PackageConfig()
    gate: ToyGate = ToyGate()


@dataclass(frozen=True, slots=True)
class ToyAgreement:
    """The largest difference of any class's probability."""

    gap: float

    @property
    def ok(self) -> bool:
        """Within a rounding error."""
        return self.gap < 1e-4

    @property
    def severity(self) -> tuple[float, ...]:
        """Larger is worse."""
        return (self.gap,)

    def __str__(self) -> str:
        return f"worst gap {self.gap:.6f}"


class ToyReference:
    """The means in numpy, beside the graph."""

    def __init__(self, model: VisionModel, weights: Path) -> None:
        self._model = model
        self._means = _means(weights)[1]

    def compare(self, pixels: Pixels) -> ToyAgreement:
        """The nearest mean, by distance."""
        colour = to_input(pixels, self._model.manifest.input)[0].mean(axis=(2, 3))[0]
        scores = np.exp(-((colour - self._means) ** 2).sum(axis=1) * 10)
        answer = self._model.predict(pixels).probabilities
        assert answer is not None
        return ToyAgreement(float(np.abs(scores / scores.sum() - answer).max()))

    def worst(self, agreements: Sequence[ToyAgreement]) -> ToyAgreement:
        """The largest of all."""
        return max(agreements, key=lambda agreement: agreement.gap)


class ToyEngine:
    """Learns by taking means."""

    config = ToyConfig
    packages = ("onnx",)
    validation_metric = "val/accuracy"

    def configure(self, home: Path) -> None:
        """Nothing to set up."""

    def publishes(self, name: str) -> bool:
        """Nobody publishes means of colours."""
        return False

    def validate(self, config: TrainingConfig, dataset: PreparedDataset, *, register: bool) -> None:
        """Two classes at least."""
        if len(dataset.classes) < 2:
            raise ConfigError("one class cannot be told from another", "add a class")

    def estimate(self, job: TrainingJob) -> Estimate:
        """Next to nothing."""
        sizes = job.dataset.split_sizes
        return Estimate("cpu", 3, sizes["train"], sizes["val"], 1, job.config.training.epochs, 0, 0, 0, 0, 1, 1)

    def train(self, job: TrainingJob, listener: TrainingListener, *, resume: bool) -> Path:
        """Take the mean colour of each class."""
        size = job.config.training.imgsz
        listener.started({"toy.size": size}, batches=job.config.training.epochs, done=0)
        spec = _input(size)
        colours: dict[int, list[np.ndarray]] = {i: [] for i in range(len(job.dataset.classes))}
        for path, class_id in job.dataset.split("train"):
            colours[class_id].append(to_input(decode_image(path.read_bytes()), spec)[0].mean(axis=(2, 3))[0])
        means = [np.mean(found, axis=0).tolist() for found in colours.values()]
        best = self.best_weights(job.folder.path)
        best.write_text(json.dumps({"classes": job.dataset.classes, "means": means}))
        for epoch in range(1, job.config.training.epochs + 1):
            listener.batch()
            listener.epoch(epoch, {self.validation_metric: 0.5})
        (job.folder.path / "epochs.txt").write_text(str(job.config.training.epochs))
        return best

    def best_weights(self, run: Path) -> Path:
        """A JSON file."""
        return run / "means.json"

    def epochs_done(self, run: Path) -> int:
        """As noted."""
        return int((run / "epochs.txt").read_text())

    def plots(self, run: Path) -> Sequence[Path]:
        """None."""
        return ()

    def discard_checkpoints(self, run: Path, *, keep_best: bool) -> None:
        """There is but the best."""
        if not keep_best:
            self.best_weights(run).unlink(missing_ok=True)

    def export(self, config: TrainingConfig, weights: Path, folder: Path) -> ExportedGraph:
        """-10 |x - m|² without the part that is the same for all classes: a matrix and a bias."""
        classes, means = _means(weights)
        size = config.training.imgsz
        graph = helper.make_graph(
            [
                helper.make_node("GlobalAveragePool", ["images"], ["pooled"]),
                helper.make_node("Flatten", ["pooled"], ["colour"]),
                helper.make_node("Gemm", ["colour", "weight", "bias"], ["output0"]),
            ],
            "means",
            [helper.make_tensor_value_info("images", TensorProto.FLOAT, (1, 3, size, size))],
            [helper.make_tensor_value_info("output0", TensorProto.FLOAT, (1, len(classes)))],
            [
                numpy_helper.from_array((20 * means.T).astype(np.float32), "weight"),
                numpy_helper.from_array((-10 * (means**2).sum(axis=1)).astype(np.float32), "bias"),
            ],
        )
        target = folder / "model.onnx"
        onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", _OPSET)], ir_version=9), target)
        if config.package.weights:
            (folder / WEIGHTS).write_bytes(weights.read_bytes())
        output = Output(name="output0", head=OutputLayout.LOGITS, shape=(1, len(classes)))
        return ExportedGraph(target, classes, _input(size), output, _OPSET)

    def thresholds(self, config: TrainingConfig, counts: Mapping[str, int]) -> Thresholds:
        """None that matters."""
        return Thresholds(confidence=0.5)

    def fit_package(self, config: TrainingConfig, model: VisionModel, dataset: PreparedDataset) -> Mapping[str, object]:
        return {}

    def reference(self, config: TrainingConfig, model: VisionModel, weights: Path) -> ToyReference:
        """The means."""
        return ToyReference(model, weights)

    def quantize(self, package: Package, dataset: PreparedDataset, folder: Path, images: int) -> Variant:
        """Refused."""
        raise ConfigError("a toy has no INT8 variant", "keep FP32")


class ToyTask:
    """Colours."""

    name = "toy"
    package_task: Literal["classify"] = "classify"
    metrics: tuple[str, ...] = ("accuracy", "macro_f1")
    labels = ClassFormat()
    engine = ToyEngine()
    robustness = True
    answered = "named"

    def evaluate(self, model: VisionModel, dataset: PreparedDataset, split: str) -> Evaluation:
        """As any classifier is."""
        return evaluate(model, dataset, split)

    def find_label_issues(self, model: VisionModel | None, dataset: PreparedDataset) -> FoundIssues:
        """None: colours are never wrong."""
        images = sum(dataset.split_sizes.values())
        return FoundIssues((), images, images, out_of_fold=False)

    def is_right(self, answer: Mapping[str, Any], dataset: PreparedDataset, labels: int) -> bool:
        """The first class."""
        return bool(answer["probabilities"][0]["name"] == dataset.classes[labels])


TASK = ToyTask()


def install_toy_task(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a distribution with this task be installed, for this process and those that it starts."""
    metadata = folder / "toy_task-1.0.dist-info"
    metadata.mkdir(parents=True)
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: toy-task\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text("[handful.tasks]\ntoy = fakes.toy_task:TASK\n")
    tests = Path(__file__).parents[1]
    monkeypatch.syspath_prepend(folder)
    path = [str(folder), str(tests), *filter(None, [os.environ.get("PYTHONPATH")])]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(path))


def _input(size: int) -> Input:
    return Input(name="images", width=size, height=size, resize="stretch")


def _means(weights: Path) -> tuple[tuple[str, ...], np.ndarray]:
    content = json.loads(weights.read_text())
    return tuple(content["classes"]), np.asarray(content["means"], np.float64)
