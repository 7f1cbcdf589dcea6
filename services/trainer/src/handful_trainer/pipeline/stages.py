"""The way from a configuration to a champion: prepare, train, package, evaluate, register, pass the gate."""

from __future__ import annotations

import time
from collections.abc import Mapping
from contextlib import nullcontext, suppress
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from filelock import FileLock

from handful_core.console import Step, say
from handful_core.errors import ConfigError, UnavailableError
from handful_core.package import seen_by
from handful_core.registry import Registry, Version
from handful_faces import blur_sheet
from handful_trainer.config import TrainingConfig
from handful_trainer.config.ineffective import refuse_ineffective
from handful_trainer.config.loading import flatten, load_config, settings_of
from handful_trainer.dataset.preparation.prepare import prepare
from handful_trainer.dataset.prepared import PreparedDataset
from handful_trainer.dataset.splitting.earlier import SPLITS_FILE
from handful_trainer.pipeline import provenance
from handful_trainer.pipeline.job import TrainingJob
from handful_trainer.pipeline.kept_splits import (
    bring_back_splits,
    fetch_splits,
    pin_splits,
    run_reference,
    warn_of_moved_images,
)
from handful_trainer.pipeline.listener import RunListener
from handful_trainer.pipeline.model_task import check_model_task
from handful_trainer.pipeline.outcome import TrainingOutcome
from handful_trainer.pipeline.run_folder import (
    SEEN_BEFORE,
    RunFolder,
    RunState,
    check_place,
    create_run,
    move_run,
    recipe_of,
    unfinished_of,
)
from handful_trainer.pipeline.signals import sigterm_raises
from handful_trainer.pipeline.torchrun import ProcessGroup
from handful_trainer.pipeline.weights import resolve_alias, seen_before
from handful_trainer.tasks import engine_of, get_task
from handful_trainer.tasks.engine import DistributedEngine, Engine, Estimate
from handful_trainer.tracking import Tracker
from handful_trainer.tracking.managed_run import managed_run
from handful_trainer.tracking.mlflow_calls import (
    class_metrics,
    configure_client,
    ended_on_error,
    find_experiment,
    start_run,
)
from handful_trainer.tracking.system_metrics import SystemMetricsSampler

if TYPE_CHECKING:
    from handful_trainer.packaging.build import BuiltPackage

_ONE_AT_A_TIME = "torchrun.lock"
"""In HANDFUL_HOME: the first of torchrun's processes there prepares the dataset, and the others find it."""
_SECONDS = 5
"""That MLflow has to answer where it is not needed."""
_OUTCOMES = {"promoted": "promoted", "kept": "not promoted", "undecided": "not decided"}
"""What the gate's decision is called in the closing table."""


def dry_run(config: TrainingConfig, home: Path, uri: str, data: Path | None = None) -> tuple[PreparedDataset, Estimate]:
    """Prepare the dataset, unless it is given, and train some batches: what a training would take.

    Nothing goes to MLflow.
    """
    refuse_ineffective(config)
    with suppress(UnavailableError):  # A dry run needs no MLflow.
        _check_model(config, Registry(uri, timeout=_SECONDS, attempts=1))
    config = resolve_alias(config, uri)
    engine = engine_of(config.task)
    dataset = _dataset(config, home, uri, data)
    refuse_ineffective(config, dataset)
    engine.validate(config, dataset, register=True)
    engine.configure(home)
    return dataset, engine.estimate(TrainingJob(config, dataset, RunFolder(home / "runs"), home, uri))


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
    data: Path | None = None,
    output: Path | None = None,
    train_only: bool = False,
    group: ProcessGroup | None = None,
) -> TrainingOutcome:
    """Train anew, the whole way.

    Args:
        config: what is trained, and how.
        home: where datasets and runs lie.
        uri: MLflow's address.
        tags: more tags for the run.
        register: make a version of the model and let it pass the gate; else the way ends with the evaluation.
        data: a dataset that was prepared from this configuration; it is prepared first if not given.
        output: where the run's folder goes once the training ended; it stays in `home` if not given. With it, a
            training that did not end and was to become the same goes on.
        train_only: end with the weights.
        group: the processes that train together; this is the first of them.
    """
    if output is not None:
        check_place(output)
    if register:  # A training that is repeated is taken as it was.
        refuse_ineffective(config)
    configure_client()
    config = resolve_alias(config, uri)
    find_experiment(uri, config.mlflow.experiment)  # Whether MLflow answers is told before all else.
    began = time.perf_counter()
    engine = _engine(config, group)
    if register:
        _check_model(config, Registry(uri))
    with FileLock(home / _ONE_AT_A_TIME) if group else nullcontext():
        dataset = _dataset(config, home, uri, data)
    if register:
        refuse_ineffective(config, dataset)
        warn_of_moved_images(dataset, config.mlflow.model_name, uri)
    engine.validate(config, dataset, register=register)
    engine.configure(home)
    images = f"{sum(dataset.split_sizes.values())} images"
    prepared = Step("prepare", images, time.perf_counter() - began)
    recipe = recipe_of(config, dataset.fingerprint)
    state = RunState(run_id="", dataset=dataset.root, recipe=recipe, train_only=train_only, register_version=register)
    folder = unfinished_of(home, recipe) if output is not None else None
    if folder is not None:
        if group is not None:
            _check_untrained(folder.state(), folder)
        job = _continued(folder, state, dataset, home, uri)
    else:
        job = _begin(config, state, dataset, home, uri, tags or {})
    outcome = _run(replace(job, group=group), [prepared], resume=folder is not None)
    if output is not None:
        outcome.folder = move_run(job.folder, output).path
    return outcome


def follow(config: TrainingConfig, home: Path, uri: str, group: ProcessGroup, data: Path | None = None) -> None:
    """Train along with the first of torchrun's processes, which does all else.

    Args:
        config: what is trained, and how: the same as the first process's.
        home: where the dataset lies. The first process of a machine prepares it.
        uri: MLflow's address, for what the configuration names there.
        group: all processes, and which one this is.
        data: a dataset that was prepared from this configuration.
    """
    configure_client()
    config = resolve_alias(config, uri)
    engine = _engine(config, group)
    with FileLock(home / _ONE_AT_A_TIME):
        dataset = _dataset(config, home, uri, data)
    _follow(engine, TrainingJob(config, dataset, RunFolder(home / "runs"), home, uri, group))


def follow_resumed(folder: RunFolder, config: TrainingConfig, home: Path, uri: str, group: ProcessGroup) -> None:
    """Train along with the first of torchrun's processes, which goes on with a training of this folder."""
    configure_client()
    state, engine = folder.state(), _engine(config, group)
    _check_untrained(state, folder)
    _follow(engine, TrainingJob(config, PreparedDataset.open(state.dataset), folder, home, uri, group))


def _follow(engine: Engine, job: TrainingJob) -> None:
    engine.configure(job.home)
    if isinstance(engine, DistributedEngine):
        engine.follow(job)


def _check_model(config: TrainingConfig, registry: Registry) -> None:
    with registry:
        check_model_task(registry, config.mlflow.model_name, get_task(config.task).package_task)


def _engine(config: TrainingConfig, group: ProcessGroup | None) -> Engine:
    """What trains, by itself or in several processes.

    Raises:
        ConfigError: it cannot be shared out.
    """
    engine = engine_of(config.task)
    if group is None:
        return engine
    if not isinstance(engine, DistributedEngine):
        raise ConfigError(
            f"task: {config.task} is trained by one process, and torchrun started {group.size}",
            "start it without torchrun",
        )
    engine.share_out(config, group)
    return engine


def _check_untrained(state: RunState, folder: RunFolder) -> None:
    if state.trained:
        raise ConfigError(
            f"{folder.path} has trained already, and the rest is for one process",
            f"without torchrun: handful train --resume --run {folder.path}",
        )


def _begin(
    config: TrainingConfig,
    state: RunState,
    dataset: PreparedDataset,
    home: Path,
    uri: str,
    tags: Mapping[str, str],
) -> TrainingJob:
    """Make the run, in MLflow and on disk."""
    experiment, base = find_experiment(uri, config.mlflow.experiment), seen_before(config, engine_of(config.task), uri)
    name = config.mlflow.run_name or f"{config.model.architecture}-{datetime.now(UTC):%Y%m%d-%H%M%S}"
    run_id = start_run(uri, experiment, name, provenance.run_tags() | config.mlflow.tags | dict(tags))
    with ended_on_error(uri, run_id):
        # The run's own splits: whoever takes its configuration to another machine gets the same ones.
        config = config.model_copy(update={"dataset": pin_splits(config.dataset, run_reference(run_id))})
        folder = create_run(home, name, config)
        listed = base.write(folder.path, SEEN_BEFORE)
        folder.save(state.model_copy(update={"run_id": run_id, "seen_before": listed}))
    return TrainingJob(config, dataset, folder, home, uri)


def _continued(folder: RunFolder, asked: RunState, dataset: PreparedDataset, home: Path, uri: str) -> TrainingJob:
    """A training that did not end, which goes as far as it is asked for now."""
    say(f"the training in {folder.path} did not end, and goes on")
    own = {"dataset": asked.dataset, "train_only": asked.train_only, "register_version": asked.register_version}
    with folder.locked():  # One that runs is left alone.
        folder.save(folder.state().model_copy(update=own))
    return TrainingJob(load_config(folder.config), dataset, folder, home, uri)


def _dataset(config: TrainingConfig, home: Path, uri: str, data: Path | None) -> PreparedDataset:
    """The dataset of a configuration: made from its source, or opened where it was prepared before.

    Raises:
        DataError: the folder was not prepared by Handful.
        ConfigError: it was prepared for something else.
    """
    if data is None:
        note = bring_back_splits(config.dataset, config.mlflow.model_name, home, uri)
        dataset = prepare(fetch_splits(config.dataset, home, uri), home, task=config.task)
        if note:
            say(note)
        return dataset
    return PreparedDataset.made_from(data, config.task, config.dataset)


def resume(
    folder: RunFolder, config: TrainingConfig, home: Path, uri: str, group: ProcessGroup | None = None
) -> TrainingOutcome:
    """Go on with a training that did not end."""
    configure_client()
    state = folder.state()
    if group is not None:
        _engine(config, group)
        _check_untrained(state, folder)
    return _run(TrainingJob(config, PreparedDataset.open(state.dataset), folder, home, uri, group), [], resume=True)


def _run(job: TrainingJob, steps: list[Step], *, resume: bool) -> TrainingOutcome:
    folder = job.folder
    outcome = TrainingOutcome(folder.state().run_id, folder.path, steps, job.config.mlflow.model_name)
    job.engine.configure(job.home)
    with folder.locked(), sigterm_raises():
        try:
            _stages(job, outcome, resume=resume)
        except KeyboardInterrupt:
            say(f"stopped; go on with: handful train --resume --run {folder.path}")
            raise
        # Not before MLflow has taken up everything: until then `--resume` must find it.
        folder.save(folder.state().model_copy(update={"finished": True}))
    return outcome


def _stages(job: TrainingJob, outcome: TrainingOutcome, *, resume: bool) -> None:
    with (
        managed_run(job.uri, outcome.run_id, job.folder.journal, drain=True) as tracker,
        SystemMetricsSampler(tracker.metrics, job.folder.began),
    ):
        if not resume:
            _describe(job, tracker)
        if not job.folder.state().trained:
            _train(job, tracker, outcome, resume=resume)
        if job.folder.state().train_only:
            job.engine.discard_checkpoints(job.folder.path, keep_best=True)
            return
        built = _package(job, tracker, outcome)
        if job.folder.state().register_version:
            _publish(job, tracker, built, outcome)


def _describe(job: TrainingJob, tracker: Tracker) -> None:
    """Log what the run is made from."""
    folder, dataset = job.folder, job.dataset
    tracker.params(flatten(settings_of(job.config)))
    tracker.params({f"package.{name}": value for name, value in provenance.package_versions(job.engine).items()})
    tracker.params({f"hardware.{name}": value for name, value in provenance.hardware().items()})
    tracker.tags({"dataset.fingerprint": dataset.fingerprint, "dataset.name": dataset.name})
    tracker.dataset(provenance.dataset_record(dataset), context="training")
    tracker.artifact(folder.config, "config")
    tracker.artifact(dataset.root / SPLITS_FILE, "config")
    tracker.artifact(provenance.write_report(dataset, folder.report), "dataset")
    tracker.artifact(provenance.write_environment(folder.environment), "environment")


def _train(job: TrainingJob, tracker: Tracker, outcome: TrainingOutcome, *, resume: bool) -> None:
    engine, folder, settings = job.engine, job.folder, job.config.training
    with outcome.step("train") as step:
        with RunListener(tracker, settings.epochs, engine.validation_metric, log_params=not resume) as listener:
            weights = engine.train(job, listener, resume=resume)
        # `patience` or a time limit may have ended it early.
        done = engine.epochs_done(folder.path)
        epochs = f"{done} epochs" if done == settings.epochs else f"{done} of {settings.epochs} epochs"
        step.result = f"{epochs} at {settings.imgsz} px"
    tracker.artifact(weights, "weights")
    _log_plots(job, tracker)
    folder.save(folder.state().model_copy(update={"trained": True}))


def _log_plots(job: TrainingJob, tracker: Tracker) -> None:
    """Log curves, and sheets of training images with faces blurred; no sheets if captured pictures may be on them."""
    has_captured = job.dataset.has_captured
    for plot in job.engine.plots(job.folder.path):
        if plot.suffix == ".jpg" and has_captured:
            plot.unlink()  # Who deletes a captured picture finds it nowhere.
            continue
        if plot.suffix == ".jpg":
            blur_sheet(plot)
        tracker.artifact(plot, "plots")


def _package(job: TrainingJob, tracker: Tracker, outcome: TrainingOutcome) -> BuiltPackage:
    """Package and evaluate."""
    from handful_trainer.packaging.build import build_package
    from handful_trainer.packaging.latency import measure_latency

    with outcome.step("package and evaluate") as step:
        base = job.folder.seen_before() or seen_before(job.config, job.engine, job.uri)
        built = build_package(job, job.engine.best_weights(job.folder.path), outcome.run_id, base=base)
        outcome.metrics = built.evaluation.metrics()
        step.result = ", ".join(f"{key} {value:.3f}" for key, value in outcome.metrics.items())
    for warning in built.evaluation.warnings():
        say(f"warning: {warning}")
    tracker.metrics({f"test/{key}": value for key, value in built.evaluation.measured().items()})
    tracker.metrics(class_metrics(built.evaluation.per_class, job.task.labels.noun))
    tracker.metrics(measure_latency(built.package, built.evaluation.example).metrics())
    tracker.tags({"parity": str(built.parity)})
    tracker.artifact(built.evaluation.write(job.folder.evaluation), "evaluation")
    return built


def _publish(job: TrainingJob, tracker: Tracker, built: BuiltPackage, outcome: TrainingOutcome) -> None:
    """Register, gate."""
    from handful_trainer.registration import Candidate, pass_gate, register_package

    # A version is of no use before its run is whole; and a server that went away gets the time to come back.
    tracker.drain()
    folder = job.folder
    with outcome.step("register") as step, Registry(job.uri) as registry:
        version = _registered(registry, folder, outcome) or register_package(
            job.uri, built.package, job.config.mlflow.model_name, outcome.run_id
        )
        folder.save(folder.state().model_copy(update={"version": version.version}))
        outcome.version = version.version
        step.result = f"{version.name} version {version.version}"
    with outcome.step("gate") as step, Registry(job.uri) as registry:
        challenger = Candidate(version, built.evaluation, seen_by(built.package))
        decision = pass_gate(registry, challenger, job.dataset, job.config.gate)
        outcome.promoted, outcome.reason, outcome.gate = decision.promoted, decision.reason, decision.as_json()
        step.result = f"{_OUTCOMES[decision.decision]}: {decision.reason}"


def _registered(registry: Registry, folder: RunFolder, outcome: TrainingOutcome) -> Version | None:
    """The version that this training registered before it was interrupted."""
    number = folder.state().version
    return registry.version(outcome.model, number) if number is not None else None
