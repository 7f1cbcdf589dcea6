"""`handful quickstart`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from handful_core.settings import CoreSettings, load


def quickstart(
    exit_: Annotated[bool, typer.Option("--exit", help="End after the check, with status 0 or 1.")] = False,
    retrain: Annotated[bool, typer.Option("--retrain", help="Train again, though a champion serves already.")] = False,
    config: Annotated[Path, typer.Option("--config", "-c", help="The training's YAML file.")] = Path(
        "configs/sample.yaml"
    ),
    port: Annotated[
        int | None,
        typer.Option("--port", min=1, max=65535, help="Port of the API and the dashboard; 8000 if not given."),
    ] = None,
    mlflow_port: Annotated[
        int | None, typer.Option("--mlflow-port", min=1, max=65535, help="Port of MLflow; 5000 or the next free one.")
    ] = None,
) -> None:
    """From nothing to a served model on this machine: MLflow, a drawn dataset, a training, the API, a check."""
    from handful_trainer.quickstart.options import Options
    from handful_trainer.quickstart.run import quickstart as run

    run(
        Options(
            folder=Path.cwd(),
            home=load(CoreSettings).home.resolve(),
            config=config,
            port=port,
            mlflow_port=mlflow_port,
            retrain=retrain,
            stay=not exit_,
        )
    )
