"""Builds a model package step by step: export, thresholds, parity, golden image, evaluation, profile."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from handful_core import __version__
from handful_core.console import progress
from handful_core.errors import DataError, RefusedError
from handful_core.package import (
    SCHEMA_VERSION,
    Dataset,
    Manifest,
    Package,
    Producer,
    SeenImages,
    SeenList,
    seen_by,
    write_package,
)
from handful_core.package.archive import describe_files
from handful_core.runtime.model import VisionModel, load_model
from handful_core.vision.decode import decode_image
from handful_trainer.dataset.image_hashes import seen_images
from handful_trainer.dataset.prepared import PreparedDataset
from handful_trainer.packaging.golden import golden_images, write_golden
from handful_trainer.packaging.profile import with_profile
from handful_trainer.pipeline.job import TrainingJob
from handful_trainer.pipeline.provenance import git_commit, package_versions
from handful_trainer.tasks.base import Evaluation
from handful_trainer.tasks.engine import Agreement, ExportedGraph, Reference

_SHOWN = 3
"""Images that a failed parity check names."""


@dataclass(frozen=True, slots=True)
class BuiltPackage:
    """A package and what was measured while it was made."""

    package: Package
    evaluation: Evaluation
    """On the test split."""
    parity: Agreement


def build_package(
    job: TrainingJob, weights: Path, run_id: str | None = None, *, base: SeenImages | None = None
) -> BuiltPackage:
    """Make a package from trained weights, in the job's folder; what is there is replaced.

    The dataset gives the images for thresholds, parity and golden image (all validation), the evaluation (test) and the
    profile (both).

    Args:
        job: the training.
        weights: its best weights.
        run_id: the MLflow run that the package belongs to.
        base: what the weights that the training began with had seen; nothing, if not given.

    Raises:
        RefusedError: the package answers otherwise than the weights.
    """
    folder = job.folder.package
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    seen = (seen_images(job.dataset) | (base or SeenImages())).write(folder)
    manifest = _manifest(job, job.engine.export(job.config, weights, folder), seen, run_id)
    model = _load(folder, manifest)
    if fitted := job.engine.fit_package(job.config, model, job.dataset):
        manifest = manifest.model_copy(update={**fitted, "files": describe_files(folder)})
        model = _load(folder, manifest)
    images = job.dataset.images("val")
    parity = check_parity(job.engine.reference(job.config, model, weights), images)
    golden = write_golden(model, golden_images(job.dataset), folder)
    manifest = manifest.model_copy(update={"golden": golden, "files": describe_files(folder)})
    evaluation = job.task.evaluate(_load(folder, manifest), job.dataset, "test")
    manifest = manifest.model_copy(update={"metrics": evaluation.as_json()})
    return BuiltPackage(with_profile(write_package(folder, manifest), job.dataset), evaluation, parity)


def with_seen(package: Package, datasets: Iterable[PreparedDataset], folder: Path) -> Package:
    """A copy of a package whose list of seen images is said to be complete with those of some datasets.

    Args:
        package: is left as it is.
        datasets: all that its model was trained on and that its own list lacks.
        folder: a new one.

    Raises:
        PackageError: its own list is damaged.
        DataError: a dataset has nothing to train on, or an image cannot be read.
    """
    seen = seen_by(package)
    for dataset in datasets:
        found = seen_images(dataset)
        if not found.phashes:
            raise DataError(
                f"{dataset.root} has no train or val images", "name the datasets that the model was trained on"
            )
        seen |= found
    shutil.copytree(package.root, folder)
    listed = replace(seen, complete=True).write(folder)
    update = {"schema_version": SCHEMA_VERSION, "seen": listed, "files": describe_files(folder)}
    return write_package(folder, package.manifest.model_copy(update=update))


def _load(folder: Path, manifest: Manifest) -> VisionModel:
    return load_model(write_package(folder, manifest))


def _manifest(job: TrainingJob, graph: ExportedGraph, seen: SeenList, run_id: str | None) -> Manifest:
    config, dataset, folder = job.config, job.dataset, job.folder.package
    counts = {name: value for name, value in dataset.counts.items() if name in graph.classes}
    return Manifest(
        name=config.mlflow.model_name,
        task=job.task.package_task,
        architecture=config.model.architecture,
        classes=graph.classes,
        counts=counts,
        input=graph.input,
        output=graph.output,
        thresholds=job.engine.thresholds(config, counts),
        opset=graph.opset,
        weights=graph.weights if (folder / graph.weights).is_file() else None,
        files=describe_files(folder),
        dataset=Dataset(
            name=dataset.name,
            fingerprint=dataset.fingerprint,
            images=dict(dataset.split_sizes),
            reviewed=dataset.reviewed,
        ),
        seen=seen,
        producer=Producer(handful=__version__, versions=package_versions(job.engine), git_commit=git_commit()),
        mlflow_run_id=run_id,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
    )


def check_parity(reference: Reference, images: Sequence[Path]) -> Agreement:
    """Compare a package with the weights it was made from, on whole images.

    Args:
        reference: both of them.
        images: image files.

    Returns:
        The worst agreement of all images.

    Raises:
        RefusedError: an image gets another answer; the worst are named.
    """
    with progress() as bar:
        shown = bar.track(images, description="comparing package and weights")
        results = [(path, reference.compare(decode_image(path.read_bytes()))) for path in shown]
    failed = sorted((r for r in results if not r[1].ok), key=lambda result: result[1].severity, reverse=True)
    if failed:
        worst = "; ".join(f"{path.name}: {agreement}" for path, agreement in failed[:_SHOWN])
        raise RefusedError(
            f"the package answers otherwise than its weights on {len(failed)} of {len(images)} images ({worst})",
            "it is not registered; export it with another package.head, or with other versions of torch and onnx",
        )
    return reference.worst([agreement for _, agreement in results])
