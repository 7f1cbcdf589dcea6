"""`handful train`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from handful_core.console import only_results_on_stdout, print_json, print_table, say
from handful_core.errors import ConfigError, redact_credentials
from handful_core.settings import CoreSettings, load

if TYPE_CHECKING:
    from handful_trainer.config import TrainingConfig
    from handful_trainer.dataset.prepared import PreparedDataset
    from handful_trainer.pipeline.outcome import TrainingOutcome
    from handful_trainer.tasks.engine import Estimate


def train(
    config: Annotated[
        Path | None, typer.Option("--config", "-c", metavar="FILE", help="The training's YAML file.")
    ] = None,
    overrides: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Override a setting: section.key=value. May be repeated."),
    ] = None,
    add: Annotated[
        str | None,
        typer.Option(
            "--add",
            metavar="reviewed",
            help="Train on reviewed pictures of the model too, and begin with its champion's weights.",
        ),
    ] = None,
    print_config: Annotated[
        bool, typer.Option("--print-config", help="Print the whole configuration and end.")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Train some batches, say what all of it would take, and end.")
    ] = False,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the newest unfinished training.")] = False,
    run: Annotated[
        Path | None, typer.Option("--run", metavar="FOLDER", help="With --resume: the training's folder.")
    ] = None,
    data: Annotated[
        Path | None,
        typer.Option("--data", metavar="FOLDER", help="The dataset that was prepared from this configuration."),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            metavar="FOLDER",
            help="A new folder for what the training leaves, instead of one in HANDFUL_HOME. A training of the same "
            "settings and data that did not end goes on.",
        ),
    ] = None,
    train_only: Annotated[
        bool, typer.Option("--train-only", help="End with the weights, for handful package --run.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Train a model and take it all the way to the registry."""
    from handful_trainer.config import to_yaml
    from handful_trainer.pipeline import stages as pipeline
    from handful_trainer.pipeline.run_folder import open_run, unfinished_run
    from handful_trainer.pipeline.torchrun import ProcessGroup, refuse_torchrun

    core = load(CoreSettings)
    group = ProcessGroup.of()
    if print_config:
        typer.echo(to_yaml(_read(config, overrides, add)), nl=False)
        return
    if dry_run:
        refuse_torchrun("--dry-run")
        with only_results_on_stdout():
            dataset, found = pipeline.dry_run(_read(config, overrides, add), core.home, core.mlflow_uri, data)
        print_json(found.as_json()) if as_json else _show(dataset, found, _read(config, overrides, add))
        return
    if resume:
        if overrides or config or add or data or output or train_only:
            raise ConfigError(
                "--resume goes on with the settings the training began with",
                "leave out all but --run: --config, --set, --add, --data, --output, --train-only",
            )
        folder, settings = open_run(run or unfinished_run(core.home).path)
        with only_results_on_stdout():
            if group and group.rank:
                pipeline.follow_resumed(folder, settings, core.home, core.mlflow_uri, group)
                return
            outcome = pipeline.resume(folder, settings, core.home, core.mlflow_uri, group)
    else:
        settings = _read(config, overrides, add)
        with only_results_on_stdout():
            if group and group.rank:
                pipeline.follow(settings, core.home, core.mlflow_uri, group, data)
                return
            outcome = pipeline.start(
                settings, core.home, core.mlflow_uri, data=data, output=output, train_only=train_only, group=group
            )
    if as_json:
        print_json(outcome.as_json())
        return
    rows = [(step.name, f"{step.seconds:.1f} s", step.result) for step in outcome.steps]
    print_table("Training", ("step", "time", "result"), rows)
    say(f"run {outcome.run_id} in MLflow at {redact_credentials(core.mlflow_uri)}; files in {outcome.folder}")
    say(_next(outcome))


def _next(outcome: TrainingOutcome) -> str:
    """The next sensible command."""
    if outcome.version is None:
        return f"next: handful package --run {outcome.folder} --output package.zip"
    if outcome.promoted:
        return f"a running server takes version {outcome.version} up: handful predict photo.jpg --model {outcome.model}"
    return (
        f"version {outcome.version} was not promoted: the step gate says why\n"
        f"next: handful models {outcome.model}, or, to serve it all the same, "
        f"handful promote {outcome.model} {outcome.version}"
    )


def _show(dataset: PreparedDataset, found: Estimate, config: TrainingConfig) -> None:
    """What a training would do and take."""
    rows = [
        ("dataset", f"{dataset.name}: {', '.join(f'{n} {split}' for split, n in dataset.split_sizes.items())} images"),
        ("network", f"{config.model.architecture}, {found.parameters / 1e6:.1f} million parameters, {found.device}"),
        ("epochs", f"{found.epochs}, each of {found.batches} batches at {config.training.imgsz} px"),
        ("time", f"about {duration(found.seconds)} for the epochs, {duration(found.epoch_seconds)} each"),
        ("memory", f"{found.memory_bytes / 2**30:.1f} of {found.memory_available / 2**30:.1f} GiB"),
        ("disk", f"{found.disk_bytes / 2**20:.0f} MiB of checkpoints"),
        ("then", f"experiment {config.mlflow.experiment}, registered as {config.mlflow.model_name}"),
    ]
    print_table("A training would be", ("what", "how much"), rows)


def duration(seconds: float) -> str:
    """Seconds as a person says them."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 90 * 60 else f"{seconds / 3600:.1f} h"


def _read(config: Path | None, overrides: list[str] | None, add: str | None) -> TrainingConfig:
    from handful_trainer.config import load_config
    from handful_trainer.config.adding import with_added

    if config is None:
        raise ConfigError("no configuration given", "name one: --config configs/fingers.yaml")
    settings = load_config(config, overrides or [])
    return with_added(settings, add) if add else settings
