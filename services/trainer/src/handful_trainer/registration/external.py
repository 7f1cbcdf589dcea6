"""A package that was made elsewhere, on its way into the registry: measured, logged to a run, past the gate."""

from __future__ import annotations

import shutil
import tempfile
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from handful_core.console import say
from handful_core.errors import NotFoundError
from handful_core.package import Package, SeenImages, open_package, seen_by
from handful_core.registry import Registry, Version
from handful_core.runtime.model import load_model
from handful_trainer.config.settings import GateConfig
from handful_trainer.dataset.prepared import PreparedDataset
from handful_trainer.pipeline.model_task import check_model_task
from handful_trainer.pipeline.provenance import run_tags
from handful_trainer.registration.gate import Candidate, GateDecision, pass_gate
from handful_trainer.registration.mlflow_model import register_package
from handful_trainer.tasks.base import Evaluation
from handful_trainer.tracking.managed_run import managed_run
from handful_trainer.tracking.mlflow_calls import class_metrics, find_experiment, log_metrics, start_run


@dataclass(frozen=True, slots=True)
class Registered:
    """What came of a registration."""

    version: Version
    run_id: str
    evaluation: Evaluation | None
    """None where no dataset was given; then no alias moves."""
    decision: GateDecision | None

    def as_json(self) -> dict[str, Any]:
        """What `handful register --json` prints."""
        values = {"model": self.version.name, "version": self.version.version, "run_id": self.run_id, "promoted": False}
        if self.decision and self.evaluation:
            values |= {"promoted": self.decision.promoted, "reason": self.decision.reason}
            values |= {"gate": self.decision.as_json(), "metrics": self.evaluation.metrics()}
        return values


def register_external_package(
    package: Package,
    uri: str,
    name: str,
    *,
    dataset: PreparedDataset | None,
    gate: GateConfig,
    experiment: str,
    run_id: str | None = None,
    once: bool = False,
) -> Registered:
    """Make a package a version of a model.

    Args:
        package: from anywhere.
        uri: MLflow's address.
        name: the registered model.
        dataset: its test split measures the package and decides at the gate.
        gate: what is compared, and by how much the package must win.
        experiment: of the run that is made.
        run_id: a run that the version joins instead; how it is marked is left to whoever began it.
        once: where the model has a version with this very package, that one passes the gate again, and none is made.

    Raises:
        PackageError: its list of seen images is damaged.
        ConfigError: the model's champion is of another task.
    """
    with Registry(uri) as registry:
        check_model_task(registry, name, package.manifest.task)
    seen = seen_by(package)  # A list that cannot be read is refused before anything is registered.
    evaluation = dataset.task.evaluate(load_model(package), dataset, "test") if dataset else None
    if once and (found := _version_of(package, uri, name)):
        return _gated(found, found.run_id or "", uri, evaluation, seen, dataset, gate)
    if run_id is not None:
        return _register(package, uri, name, run_id, evaluation, seen, dataset, gate)
    made = start_run(uri, find_experiment(uri, experiment), f"register-{name}", run_tags())
    with (
        tempfile.TemporaryDirectory(prefix="handful-journal-", ignore_cleanup_errors=True) as folder,
        managed_run(uri, made, Path(folder) / "journal.jsonl"),
    ):
        return _register(package, uri, name, made, evaluation, seen, dataset, gate)


def _register(
    package: Package,
    uri: str,
    name: str,
    run_id: str,
    evaluation: Evaluation | None,
    seen: SeenImages,
    dataset: PreparedDataset | None,
    gate: GateConfig,
) -> Registered:
    if evaluation:
        for warning in evaluation.warnings():
            say(f"warning: {warning}")
        log_metrics(uri, run_id, {f"test/{key}": value for key, value in evaluation.measured().items()})
    if evaluation and dataset:
        log_metrics(uri, run_id, class_metrics(evaluation.per_class, dataset.task.labels.noun))
    with tempfile.TemporaryDirectory(prefix="handful-register-") as folder:
        # MLflow keeps the folder's name, and serving looks for it.
        copy = Path(shutil.copytree(package.root, Path(folder) / "package"))
        with open_package(copy) as named:
            version = register_package(uri, named, name, run_id)
    return _gated(version, run_id, uri, evaluation, seen, dataset, gate)


def _version_of(package: Package, uri: str, name: str) -> Version | None:
    """The newest version that is this very package."""
    with Registry(uri) as registry, suppress(NotFoundError):  # There is no such model yet.
        return next((v for v in registry.versions(name) if v.tags.get("package.digest") == package.digest), None)
    return None


def _gated(
    version: Version,
    run_id: str,
    uri: str,
    evaluation: Evaluation | None,
    seen: SeenImages,
    dataset: PreparedDataset | None,
    gate: GateConfig,
) -> Registered:
    if dataset is None or evaluation is None:
        return Registered(version, run_id, None, None)
    with Registry(uri) as registry:
        challenger = Candidate(version, evaluation, seen)
        return Registered(version, run_id, evaluation, pass_gate(registry, challenger, dataset, gate))
