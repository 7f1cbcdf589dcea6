"""`handful register`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from handful_core.console import only_results_on_stdout, print_json, say
from handful_core.errors import ConfigError
from handful_core.files import write_atomically
from handful_core.settings import CoreSettings, load

if TYPE_CHECKING:
    from handful_trainer.config import GateConfig, TrainingConfig
    from handful_trainer.tasks.base import Task

_SETTINGS = {
    "name": "mlflow.model_name",
    "experiment": "mlflow.experiment",
    "metric": "gate.metric",
    "margin": "gate.margin",
    "min_images": "gate.min_images",
}
"""Options that a configuration's settings stand for."""


def register(
    context: typer.Context,
    package: Annotated[Path, typer.Argument(help="A model package: folder or ZIP file.")],
    data: Annotated[
        Path | None,
        typer.Option(
            "--data", metavar="FOLDER", help="Dataset whose test split decides at the gate. Without it no alias moves."
        ),
    ] = None,
    name: Annotated[
        str | None,
        typer.Option("--name", metavar="NAME", help="Registered model. If not given, the package's own name."),
    ] = None,
    experiment: Annotated[
        str, typer.Option("--experiment", metavar="NAME", help="MLflow experiment of the run that is made.")
    ] = "imports",
    run: Annotated[
        str | None, typer.Option("--run", metavar="ID", help="MLflow run that it belongs to. If not given, a new one.")
    ] = None,
    metric: Annotated[
        str | None,
        typer.Option(
            "--metric",
            metavar="NAME",
            help="What the gate compares: mAP50_95 (detectors) or macro_f1 (classifiers) by default.",
        ),
    ] = None,
    margin: Annotated[float, typer.Option("--margin", help="By so much it must be better.", min=0, max=1)] = 0.005,
    min_images: Annotated[
        int,
        typer.Option(
            "--min-images", help="With fewer test images that neither version has seen, no alias moves.", min=1
        ),
    ] = 30,
    config: Annotated[
        Path | None,
        typer.Option(
            "--config",
            "-c",
            metavar="FILE",
            help="A training's YAML file, for name, experiment and gate. The version joins the package's own run if it "
            "is there. One package gets one version.",
        ),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", metavar="FILE", help="File for the result as JSON. An existing one is replaced."
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Put a package that was made elsewhere, or by handful package --run, into the registry."""
    from handful_core.package import open_package
    from handful_trainer.config.loading import validated
    from handful_trainer.config.settings import MlflowConfig
    from handful_trainer.dataset.prepared import PreparedDataset
    from handful_trainer.packaging.golden import without_faces
    from handful_trainer.registration.external import register_external_package
    from handful_trainer.tasks import get_task
    from handful_trainer.tracking.mlflow_calls import configure_client, existing_run

    settings = _configured(config, context)
    if name is not None:
        validated(MlflowConfig, {"model_name": name})
    core = load(CoreSettings)
    configure_client()
    if output is not None:
        _make_room(output)
    dataset = PreparedDataset.open(data) if data else None
    with only_results_on_stdout(), open_package(package) as found, without_faces(found) as opened:
        if opened is not found:
            say("the faces in its golden image are blurred: so it is not the same package any more")
        task = dataset.task if dataset else get_task(opened.manifest.task)
        if task.engine is not None:
            task.engine.configure(core.home)
        if settings is not None:
            name, experiment = settings.mlflow.model_name, settings.mlflow.experiment
            run = run or existing_run(core.mlflow_uri, opened.manifest.mlflow_run_id)
        done = register_external_package(
            opened,
            core.mlflow_uri,
            name or opened.manifest.name,
            dataset=dataset,
            gate=settings.gate if settings else _gate(task, metric, margin, min_images),
            experiment=experiment,
            run_id=run,
            once=settings is not None,
        )
    if output is not None:
        write_atomically(output, json.dumps(done.as_json(), indent=2) + "\n")
    if as_json:
        print_json(done.as_json())
        return
    reason = done.decision.reason if done.decision else "no alias was moved"
    say(f"{done.version.name} version {done.version.version} is registered; {reason}")
    if done.decision is None or not done.decision.promoted:
        say(f"next: handful promote {done.version.name} {done.version.version} makes it champion by hand")
    else:
        say(f"next: handful predict photo.jpg --model {done.version.name}")


def _configured(config: Path | None, context: typer.Context) -> TrainingConfig | None:
    """The training's configuration, if one is given.

    Raises:
        ConfigError: an option says what stands in the configuration.
    """
    from handful_trainer.config import load_config

    if config is None:
        return None
    for name, setting in _SETTINGS.items():
        source = context.get_parameter_source(name)
        if source is not None and source.name == "COMMANDLINE":
            option = f"--{name.replace('_', '-')}"
            raise ConfigError(f"{option} and --config both say what {setting} is", "leave one of them out")
    return load_config(config)


def _make_room(output: Path) -> None:
    """See that the result can be written, before there is one."""
    if output.is_dir():
        raise ConfigError(f"--output {output} is a folder", "name a file")
    output.parent.mkdir(parents=True, exist_ok=True)


def _gate(task: Task, metric: str | None, margin: float, min_images: int) -> GateConfig:
    """What the gate compares.

    Raises:
        ConfigError: the task has no such metric.
    """
    from handful_trainer.config import GateConfig

    if metric is not None and metric not in task.metrics:
        raise ConfigError(f"--metric {metric} is none of {', '.join(task.metrics)}", "choose one of them")
    return GateConfig(metric=metric or task.metrics[0], margin=margin, min_images=min_images)
