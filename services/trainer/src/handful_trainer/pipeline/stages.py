"""The way from a configuration to a champion: prepare, train, package, evaluate, register, pass the gate."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from handful_core.console import say
from handful_core.errors import HandfulError
from handful_core.registry import Registry, Version
from handful_trainer.config import TrainingConfig
from handful_trainer.config.loading import flatten
from handful_trainer.dataset.preparation.prepare import prepare
from handful_trainer.dataset.prepared import PreparedDataset
from handful_trainer.pipeline import provenance
from handful_trainer.pipeline.run_folder import RunFolder, RunState, create_run
from handful_trainer.pipeline.weights import resolve_alias
from handful_trainer.tasks.detection.feasible import validate_against_dataset
from handful_trainer.tracking import Tracker, open_tracker
from handful_trainer.tracking.datasets import dataset_record
from handful_trainer.tracking.names import mlflow_name
from handful_trainer.tracking.reaper import RunReaper
from handful_trainer.tracking.system_metrics import SystemMetricsSampler

if TYPE_CHECKING:
    from handful_trainer.packaging.build import Built
    from handful_trainer.tasks.detection.estimate import Estimate


@dataclass(slots=True)
class Outcome:
    """What came of a training."""

    run_id: str
    folder: Path
    steps: list[tuple[str, float, str]] = field(default_factory=list)
    """Each step's name, seconds and result in words."""
    model: str = ""
    version: int | None = None
    promoted: bool = False
    reason: str = ""
    metrics: dict[str, float] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        """What `handful train --json` prints."""
        return {
            "run_id": self.run_id,
            "folder": str(self.folder),
            "model": self.model,
            "version": self.version,
            "promoted": self.promoted,
            "reason": self.reason,
            "metrics": self.metrics,
            "steps": [{"step": name, "seconds": round(s, 2), "result": result} for name, s, result in self.steps],
        }


def dry_run(config: TrainingConfig, home: Path, uri: str) -> tuple[PreparedDataset, Estimate]:
    """Prepare the dataset and train some batches: what a training would take. Nothing goes to MLflow."""
    from handful_trainer.tasks.detection.ultralytics import configure_ultralytics

    dataset = prepare(config.dataset, home)
    validate_against_dataset(config, dataset)
    configure_ultralytics(home)
    from handful_trainer.tasks.detection.estimate import estimate

    return dataset, estimate(config, dataset, home, uri)


def renamed(config: TrainingConfig, name: str) -> TrainingConfig:
    """The same training under another run name."""
    return config.model_copy(update={"mlflow": config.mlflow.model_copy(update={"run_name": name})})


def start(
    config: TrainingConfig,
    home: Path,
    uri: str,
    *,
    tags: Mapping[str, str] | None = None,
    register: bool = True,
) -> Outcome:
    """Train anew, the whole way.

    Args:
        config: what is trained, and how.
        home: where datasets and runs lie.
        uri: MLflow's address.
        tags: more tags for the run.
        register: make a version of the model and let it pass the gate; else the way ends with the evaluation.
    """
    from handful_trainer.tracking.mlflow_calls import configure_client, find_experiment, start_run

    configure_client()
    config = resolve_alias(config, uri)
    experiment = find_experiment(uri, config.mlflow.experiment)
    began = time.perf_counter()
    dataset = prepare(config.dataset, home)
    validate_against_dataset(config, dataset, register=register)
    prepared = ("prepare", time.perf_counter() - began, f"{sum(dataset.split_sizes.values())} images")
    name = config.mlflow.run_name or f"{config.model.architecture}-{datetime.now(UTC):%Y%m%d-%H%M%S}"
    run_id = start_run(uri, experiment, name, provenance.run_tags() | config.mlflow.tags | dict(tags or {}))
    folder = create_run(home, name, config)
    folder.save(RunState(run_id=run_id, dataset=dataset.root, register_version=register))
    return _go(config, folder, dataset, home, uri, [prepared], resume=False)


def resume(folder: RunFolder, config: TrainingConfig, home: Path, uri: str) -> Outcome:
    """Go on with a training that did not end."""
    from handful_trainer.tracking.mlflow_calls import configure_client

    configure_client()
    dataset = PreparedDataset.open(folder.state().dataset)
    return _go(config, folder, dataset, home, uri, [], resume=True)


def _go(
    config: TrainingConfig,
    folder: RunFolder,
    dataset: PreparedDataset,
    home: Path,
    uri: str,
    steps: list[tuple[str, float, str]],
    *,
    resume: bool,
) -> Outcome:
    from handful_trainer.tasks.detection.train import sigterm_raises
    from handful_trainer.tasks.detection.ultralytics import configure_ultralytics

    outcome = Outcome(folder.state().run_id, folder.path, steps, config.mlflow.model_name)
    configure_ultralytics(home)
    with folder.locked(), sigterm_raises():
        with _tracked(folder, uri) as tracker, SystemMetricsSampler(tracker.metrics, folder.began):
            _describe(config, dataset, folder, tracker, resume=resume)
            _train(config, dataset, folder, tracker, home, uri, outcome, resume=resume)
            built = _package(config, dataset, folder, tracker, outcome)
            if folder.state().register_version:
                _publish(config, dataset, folder, tracker, uri, built, outcome)
        # Not before MLflow has taken up everything: until then `--resume` must find it.
        folder.save(folder.state().model_copy(update={"finished": True}))
    return outcome


@contextmanager
def _tracked(folder: RunFolder, uri: str) -> Iterator[Tracker]:
    """A tracker whose run ends marked as what happened: finished, failed, or killed (Ctrl-C, SIGTERM)."""
    tracker = open_tracker(uri, folder.state().run_id, folder.journal)
    tracker.status("RUNNING")
    watchdog = RunReaper(uri, tracker.run_id)
    ending, marked = "KILLED", False
    try:
        yield tracker
        ending = "FINISHED"
        marked = _mark(tracker, ending)
        tracker.drain()
    except KeyboardInterrupt:
        marked = _mark(tracker, ending)
        say(f"stopped; go on with: handful train --resume --run {folder.path}")
        raise
    except Exception as error:
        ending = "FAILED"
        marked = _mark(tracker, ending, {"failure": str(error)})
        raise
    finally:
        sent = tracker.close()
        watchdog.done() if sent and marked else watchdog.status(ending)


def _mark(tracker: Tracker, ending: str, tags: Mapping[str, str] | None = None) -> bool:
    """Write down how the run ended; False where even that cannot be written: the watchdog tells MLflow then."""
    try:
        if tags:
            tracker.tags(tags)
        tracker.status(ending)
    except OSError as error:
        say(f"the end of the run cannot be written down ({error.strerror}); MLflow is told of it all the same")
        return False
    return True


def _describe(
    config: TrainingConfig, dataset: PreparedDataset, folder: RunFolder, tracker: Tracker, *, resume: bool
) -> None:
    """Log what the run is made from."""
    if resume:
        return
    tracker.params(flatten(config.model_dump(mode="json")))
    tracker.params({f"package.{name}": value for name, value in provenance.package_versions().items()})
    tracker.params({f"hardware.{name}": value for name, value in provenance.hardware().items()})
    tracker.tags({"dataset.fingerprint": dataset.fingerprint, "dataset.name": dataset.name})
    tracker.dataset(dataset_record(dataset), context="training")
    tracker.artifact(folder.config, "config")
    for name in ("report.json", "report.html"):
        if (dataset.root / name).is_file():
            tracker.artifact(dataset.root / name, "dataset")
    tracker.artifact(provenance.write_environment(folder.environment), "environment")


def _train(
    config: TrainingConfig,
    dataset: PreparedDataset,
    folder: RunFolder,
    tracker: Tracker,
    home: Path,
    uri: str,
    outcome: Outcome,
    *,
    resume: bool,
) -> None:
    from handful_trainer.tasks.detection.train import fit

    if folder.state().trained:
        return
    with _step(outcome, "train") as result:
        weights = fit(config, dataset.data_yaml, folder, tracker, home, uri, resume=resume)
        result(f"{_epochs(folder, config.training.epochs)} at {config.training.imgsz} px")
    tracker.artifact(weights, "weights")
    for plot in sorted(folder.yolo.glob("*.png")) + sorted(folder.yolo.glob("*.jpg")):
        tracker.artifact(plot, "plots")
    tracker.artifact(folder.results, "plots")
    folder.save(folder.state().model_copy(update={"trained": True}))


def _epochs(folder: RunFolder, wanted: int) -> str:
    """How many epochs were trained: `patience` or `max_time_hours` may have ended it early."""
    done = folder.epochs_done
    return f"{done} epochs" if done == wanted else f"{done} of {wanted} epochs"


def _package(
    config: TrainingConfig, dataset: PreparedDataset, folder: RunFolder, tracker: Tracker, outcome: Outcome
) -> Built:
    """Package and evaluate."""
    from handful_trainer.packaging import build_package
    from handful_trainer.packaging.latency import measure_latency
    from handful_trainer.tasks.detection.report import write_evaluation

    with _step(outcome, "package and evaluate") as result:
        built = build_package(config, folder.best_weights, dataset, folder.package, outcome.run_id)
        outcome.metrics = built.evaluation.metrics()
        result(", ".join(f"{key} {value:.3f}" for key, value in outcome.metrics.items()))
    tracker.metrics({f"test/{key}": value for key, value in outcome.metrics.items()})
    tracker.metrics(_per_class(built.evaluation.per_class))
    tracker.metrics(measure_latency(built.package, built.evaluation.samples[0].image).metrics())
    tracker.tags({"parity": str(built.parity)})
    tracker.artifact(write_evaluation(built.evaluation, folder.evaluation), "evaluation")
    return built


def _publish(
    config: TrainingConfig,
    dataset: PreparedDataset,
    folder: RunFolder,
    tracker: Tracker,
    uri: str,
    built: Built,
    outcome: Outcome,
) -> None:
    """Register, gate."""
    from handful_trainer.registration import pass_gate, register_package

    # A version is of no use before its run is whole; and a server that went away gets the time to come back.
    tracker.drain()
    with _step(outcome, "register") as result, Registry(uri) as registry:
        version = _registered(registry, folder, outcome) or register_package(
            uri, built.package, config.mlflow.model_name, outcome.run_id
        )
        folder.save(folder.state().model_copy(update={"version": version.version}))
        outcome.version = version.version
        result(f"{version.name} version {version.version}")
    with _step(outcome, "gate") as result, Registry(uri) as registry:
        decision = pass_gate(registry, version, built.evaluation, dataset, config.gate)
        outcome.promoted, outcome.reason = decision.promoted, decision.reason
        result(f"{'champion' if decision.promoted else 'not champion'}: {decision.reason}")


def _registered(registry: Registry, folder: RunFolder, outcome: Outcome) -> Version | None:
    """The version that this training registered before it was interrupted."""
    number = folder.state().version
    return registry.version(outcome.model, number) if number is not None else None


def _per_class(per_class: dict[str, dict[str, float]]) -> dict[str, float]:
    return {
        f"test/class/{mlflow_name(name)}/{metric}": value
        for name, values in per_class.items()
        for metric, value in values.items()
        if metric != "boxes"
    }


@contextmanager
def _step(outcome: Outcome, name: str) -> Iterator[Callable[[str], None]]:
    """Time a step and keep its result; a failure is kept too."""
    began = time.perf_counter()
    words = ["done"]
    try:
        yield lambda text: words.__setitem__(0, text)
    except HandfulError as error:
        words[0] = f"failed: {error.message}"
        raise
    finally:
        outcome.steps.append((name, time.perf_counter() - began, words[0]))
