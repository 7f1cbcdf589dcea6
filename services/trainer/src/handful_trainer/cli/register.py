"""`handful register`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from handful_core.console import only_results_on_stdout, print_json, say
from handful_core.errors import ConfigError
from handful_core.settings import CoreSettings, load

if TYPE_CHECKING:
    from handful_trainer.config import GateConfig
    from handful_trainer.tasks.base import Task


def register(
    package: Annotated[Path, typer.Argument(help="A model package: folder or ZIP file.")],
    data: Annotated[
        Path | None,
        typer.Option("--data", help="Dataset whose test split decides at the gate; without it no alias moves."),
    ] = None,
    name: Annotated[
        str | None, typer.Option("--name", help="Registered model; the package's own name if not given.")
    ] = None,
    experiment: Annotated[
        str, typer.Option("--experiment", help="MLflow experiment of the run that is made.")
    ] = "imports",
    run: Annotated[
        str | None, typer.Option("--run", help="MLflow run that it belongs to; a new one if not given.")
    ] = None,
    metric: Annotated[
        str | None,
        typer.Option("--metric", help="What the gate compares; mAP50_95 for detectors, macro_f1 for classifiers."),
    ] = None,
    margin: Annotated[float, typer.Option("--margin", help="By so much it must be better.", min=0, max=1)] = 0.005,
    min_images: Annotated[
        int,
        typer.Option(
            "--min-images", help="With fewer test images that neither version has seen, no alias moves.", min=1
        ),
    ] = 30,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Put a package that was made elsewhere into the registry."""
    from handful_core.package import open_package
    from handful_trainer.config.loading import validated
    from handful_trainer.config.settings import MlflowConfig
    from handful_trainer.dataset.prepared import PreparedDataset
    from handful_trainer.registration.external import register_external_package
    from handful_trainer.tasks import get_task
    from handful_trainer.tracking.mlflow_calls import configure_client

    if name is not None:
        validated(MlflowConfig, {"model_name": name})
    core = load(CoreSettings)
    configure_client()
    dataset = PreparedDataset.open(data) if data else None
    with only_results_on_stdout(), open_package(package) as opened:
        task = dataset.task if dataset else get_task(opened.manifest.task)
        if task.engine is not None:
            task.engine.configure(core.home)
        done = register_external_package(
            opened,
            core.mlflow_uri,
            name or opened.manifest.name,
            dataset=dataset,
            gate=_gate(task, metric, margin, min_images),
            experiment=experiment,
            run_id=run,
        )
    if as_json:
        print_json(done.as_json())
        return
    reason = done.decision.reason if done.decision else "no alias was moved"
    say(f"{done.version.name} version {done.version.version} is registered; {reason}")


def _gate(task: Task, metric: str | None, margin: float, min_images: int) -> GateConfig:
    """What the gate compares.

    Raises:
        ConfigError: the task has no such metric.
    """
    from handful_trainer.config import GateConfig

    if metric is not None and metric not in task.metrics:
        raise ConfigError(f"--metric {metric} is none of {', '.join(task.metrics)}", "choose one of them")
    return GateConfig(metric=metric or task.metrics[0], margin=margin, min_images=min_images)
