"""`handful register`."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import Annotated

import typer

from handful_core.console import only_results_on_stdout, print_json, say
from handful_core.settings import CoreSettings, load


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
    metric: Annotated[str, typer.Option("--metric", help="What the gate compares.")] = "mAP50_95",
    margin: Annotated[float, typer.Option("--margin", help="By so much it must be better.", min=0, max=1)] = 0.005,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Put a package that was made elsewhere into the registry."""
    from handful_core.package import open_package
    from handful_core.vision.model import load_model
    from handful_trainer.config.loading import validated
    from handful_trainer.config.settings import GateConfig
    from handful_trainer.yolo import set_up

    gate = validated(GateConfig, {"metric": metric, "margin": margin})
    core = load(CoreSettings)
    set_up(core.home)
    from handful_core.registry import Registry
    from handful_trainer.data import PreparedDataset
    from handful_trainer.evaluation import evaluate
    from handful_trainer.provenance import run_tags
    from handful_trainer.registration import pass_gate, register_package
    from handful_trainer.tracking.sending import (
        configure_client,
        find_experiment,
        finish_run,
        log_metrics,
        start_run,
    )

    configure_client()
    dataset = PreparedDataset.open(data) if data else None
    with only_results_on_stdout(), open_package(package) as opened, tempfile.TemporaryDirectory() as folder:
        model = load_model(opened)
        evaluation = evaluate(model, dataset, "test") if dataset else None
        target = name or opened.manifest.name
        run_id = run or start_run(
            core.mlflow_uri, find_experiment(core.mlflow_uri, experiment), f"register-{target}", run_tags()
        )
        if evaluation:
            log_metrics(core.mlflow_uri, run_id, {f"test/{key}": value for key, value in evaluation.metrics().items()})
        # MLflow keeps the folder's name, and serving looks for it.
        copy = Path(shutil.copytree(opened.root, Path(folder) / "package"))
        with open_package(copy) as named:
            version = register_package(core.mlflow_uri, named, target, run_id)
    result = {"model": version.name, "version": version.version, "run_id": run_id, "promoted": False}
    if dataset and evaluation:
        with Registry(core.mlflow_uri) as registry:
            decision = pass_gate(registry, version, evaluation, dataset, gate)
        result |= {"promoted": decision.promoted, "reason": decision.reason, "metrics": evaluation.metrics()}
    if run is None:
        finish_run(core.mlflow_uri, run_id)
    if as_json:
        print_json(result)
    else:
        say(f"{version.name} version {version.version} is registered; {result.get('reason', 'no alias was moved')}")
