"""Builds a model package step by step: export, threshold, parity, golden image, evaluation."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from handful_core import __version__
from handful_core.package import Dataset, Manifest, Package, Producer, Thresholds, write_package
from handful_core.package.archive import describe_files
from handful_core.runtime.model import VisionModel, load_model
from handful_core.vision.agreement import Agreement
from handful_trainer.config import TrainingConfig
from handful_trainer.dataset.prepared import PreparedDataset
from handful_trainer.packaging.golden import write_golden
from handful_trainer.packaging.parity import check_parity
from handful_trainer.pipeline.provenance import git_commit, package_versions
from handful_trainer.tasks.detection.checkpoint import write_checkpoint
from handful_trainer.tasks.detection.evaluate import Evaluation, best_confidence, collect, evaluate
from handful_trainer.tasks.detection.export import ExportedGraph, export_onnx, wanted_head

_MODEL, _WEIGHTS = "model.onnx", "weights.pt"
_FALLBACK_CONFIDENCE = 0.25


@dataclass(frozen=True, slots=True)
class Built:
    """A package and what was measured while it was made."""

    package: Package
    evaluation: Evaluation
    """On the test split."""
    parity: Agreement


def build_package(
    config: TrainingConfig, weights: Path, dataset: PreparedDataset, folder: Path, run_id: str | None = None
) -> Built:
    """Make a package from trained weights.

    Args:
        config: the training's configuration.
        weights: a `.pt` file.
        dataset: gives the images for threshold, parity, golden image (all validation) and evaluation (test).
        folder: where the package goes; what is there is replaced.
        run_id: the MLflow run that the package belongs to.

    Raises:
        RefusedError: the package finds other boxes than the weights.
    """
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    fixed = config.package.confidence
    baked = _FALLBACK_CONFIDENCE if fixed == "auto" else fixed
    plain = folder / _WEIGHTS
    write_checkpoint(weights, plain)
    graph = export_onnx(
        plain, folder / _MODEL, config.training.imgsz, wanted_head(config.package), baked, config.package.iou
    )
    if not config.package.weights:
        plain.unlink()
    manifest = _manifest(config, graph, dataset, folder, run_id, baked)
    model = _load(folder, manifest)
    if fixed == "auto" and manifest.counts:
        chosen = best_confidence(collect(model, dataset, "val"), model)
        manifest = manifest.model_copy(
            update={"thresholds": manifest.thresholds.model_copy(update={"confidence": chosen})}
        )
        model = _load(folder, manifest)
    images = [path for path, _, _ in dataset.split("val")]
    parity = check_parity(model, weights, images)
    golden = write_golden(model, images, folder)
    manifest = manifest.model_copy(update={"golden": golden, "files": describe_files(folder)})
    evaluation = evaluate(_load(folder, manifest), dataset, "test")
    manifest = manifest.model_copy(update={"metrics": evaluation.as_json()})
    return Built(write_package(folder, manifest), evaluation, parity)


def _load(folder: Path, manifest: Manifest) -> VisionModel:
    return load_model(write_package(folder, manifest))


def _manifest(
    config: TrainingConfig,
    graph: ExportedGraph,
    dataset: PreparedDataset,
    folder: Path,
    run_id: str | None,
    confidence: float,
) -> Manifest:
    counts = {name: worth for name, worth in dataset.counts.items() if name in graph.classes}
    agnostic = config.package.class_agnostic
    return Manifest(
        name=config.mlflow.model_name,
        task="detect",
        architecture=config.model.architecture,
        classes=graph.classes,
        counts=counts,
        input=graph.input,
        output=graph.output,
        thresholds=Thresholds(
            confidence=confidence,
            iou=config.package.iou,
            class_agnostic=bool(counts) if agnostic == "auto" else agnostic,
        ),
        opset=graph.opset,
        weights=_WEIGHTS if config.package.weights else None,
        files=describe_files(folder),
        dataset=Dataset(name=dataset.name, fingerprint=dataset.fingerprint, images=dict(dataset.split_sizes)),
        producer=Producer(handful=__version__, versions=package_versions(), git_commit=git_commit()),
        mlflow_run_id=run_id,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
    )
