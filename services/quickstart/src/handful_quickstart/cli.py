"""`handful quickstart` and `handful data sample`."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from handful_core.console import print_json, say
from handful_core.registry.starters import DEFAULT_STARTERS, chosen_starters
from handful_core.settings import CoreSettings, load


class Task(StrEnum):
    """What a quickstart shows."""

    FINGERS = "fingers"
    LEAVES = "leaves"


_CONFIGS = {Task.FINGERS: Path("configs/sample.yaml"), Task.LEAVES: Path("configs/leaves-sample.yaml")}


def quickstart(
    exit_: Annotated[bool, typer.Option("--exit", help="End after the check, with status 0 or 1.")] = False,
    retrain: Annotated[bool, typer.Option("--retrain", help="Train again, though a champion serves already.")] = False,
    no_train: Annotated[
        bool, typer.Option("--no-train", help="Start the servers with what is in the registry. Draw and train nothing.")
    ] = False,
    monitor: Annotated[
        bool,
        typer.Option("--monitor", help="Start the monitor, too: the dashboard's view Monitoring shows what it says."),
    ] = False,
    task: Annotated[Task, typer.Option("--task", help="What is drawn and learnt.")] = Task.FINGERS,
    config: Annotated[
        Path | None,
        typer.Option("--config", "-c", metavar="FILE", help="The training's YAML file, instead of the task's own."),
    ] = None,
    port: Annotated[
        int | None,
        typer.Option("--port", min=1, max=65535, help="Port of the API and the dashboard. If not given, 8000."),
    ] = None,
    mlflow_port: Annotated[
        int | None,
        typer.Option("--mlflow-port", min=1, max=65535, help="Port of MLflow. By default 5000, or the next free one."),
    ] = None,
    starter: Annotated[
        str,
        typer.Option(
            "--starter",
            metavar="NAMES",
            envvar="STARTER_MODEL",
            show_envvar=False,
            help="Starter models that an empty registry gets: fingers, leaves, both with a comma between, or none.",
        ),
    ] = DEFAULT_STARTERS,
) -> None:
    """From nothing to a served model on this machine: MLflow, a drawn dataset, a training, the API, a check."""
    from handful_core.errors import ConfigError
    from handful_quickstart.plan import Options
    from handful_quickstart.run import quickstart as run

    if no_train and (retrain or config):
        raise ConfigError("--no-train trains nothing, --retrain and --config do", "leave one out")
    run(
        Options(
            folder=Path.cwd(),
            home=load(CoreSettings).home.resolve(),
            config=config or _CONFIGS[task],
            port=port,
            mlflow_port=mlflow_port,
            starters=chosen_starters(starter),
            retrain=retrain,
            train=not no_train,
            stay=not exit_,
            monitor=monitor,
        )
    )


def sample(
    directory: Annotated[Path, typer.Argument(help="A new folder.")],
    images: Annotated[int | None, typer.Option(help="How many images to draw. If not given, 360.")] = None,
    size: Annotated[int | None, typer.Option(help="Their side in pixels. If not given, 224.")] = None,
    seed: Annotated[int, typer.Option(min=0, help="The same seed draws the same images.")] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Draw hands with 0 to 5 fingers up, and write them as a YOLO folder. They are drawings, no photos."""
    from handful_quickstart.sample import draw_folder
    from handful_trainer.config.loading import validated
    from handful_trainer.dataset.prepared import PreparedDataset
    from handful_trainer.dataset.settings import SampleConfig

    given = {"images": images, "size": size}
    settings = validated(SampleConfig, {key: value for key, value in given.items() if value is not None})
    dataset = PreparedDataset.open(draw_folder(directory, settings, seed))
    if as_json:
        print_json({"folder": str(dataset.root), "classes": dataset.classes, "images": dataset.split_sizes})
        return
    sizes = ", ".join(f"{images} {split}" for split, images in dataset.split_sizes.items())
    say(f"drew {sum(dataset.split_sizes.values())} images of hands ({sizes}) into {directory}")
    ways = f"--set dataset.source=yolo --set dataset.path={directory}"
    say(f"next: handful data prepare --config configs/fingers.yaml {ways}")
