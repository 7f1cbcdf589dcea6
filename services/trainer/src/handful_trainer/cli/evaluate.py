"""`handful evaluate`."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from handful_core.console import only_results_on_stdout, print_json, print_table, say
from handful_core.errors import ConfigError
from handful_core.files import write_atomically
from handful_core.settings import CoreSettings, load
from handful_trainer.cli.packages import opened_package

if TYPE_CHECKING:
    from handful_core.package import Package
    from handful_trainer.tasks.base import Evaluation


def evaluate(
    data: Annotated[
        Path,
        typer.Option(
            "--data",
            metavar="FOLDER",
            help="A prepared dataset's folder, a data.yaml, or any FOLDER/SPLIT/CLASS/*.jpg.",
        ),
    ],
    package: Annotated[
        Path | None, typer.Option("--package", metavar="FILE", help="A model package: folder or ZIP file.")
    ] = None,
    model: Annotated[
        str | None, typer.Option("--model", metavar="MODEL", help="models:/NAME@ALIAS or models:/NAME/VERSION.")
    ] = None,
    split: Annotated[str, typer.Option("--split", metavar="train|val|test", help="train, val or test.")] = "test",
    output: Annotated[
        Path | None, typer.Option("--output", metavar="FOLDER", help="Folder for metrics.json and pictures.")
    ] = None,
    robustness: Annotated[
        bool,
        typer.Option(
            "--robustness",
            help="Try worse copies of 200 images too (blur, darkness, JPEG, noise): 1,600 predictions more.",
        ),
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Measure a packaged model on a split of a dataset."""
    core = load(CoreSettings)
    with only_results_on_stdout(), opened_package(package, model, core.mlflow_uri) as opened:
        result, noun = _evaluated(opened, data, split, core.home, robustness=robustness)
        # Some of it is only looked at now.
        written, warnings, answer = output and result.write(output), result.warnings(), result.as_json()
    for warning in warnings:
        say(f"warning: {warning}")
    if written is not None:
        # The few numbers that runs and versions carry, for programs that compare.
        write_atomically(written / "summary.json", json.dumps(result.metrics(), indent=2) + "\n")
        say(f"pictures and metrics in {written}")
    if as_json:
        print_json(answer)
    else:
        _show(result, noun)
        say(f"next: {_next(package, model, data)}")


def _next(package: Path | None, model: str | None, data: Path) -> str:
    """The command that makes use of what was measured: of a version, or of a package that is none yet."""
    if package is not None:
        words = shlex.join(["handful", "register", str(package), "--data", str(data)])
        return f"{words} makes a version of it, champion if it is better"
    from handful_core.registry import parse_reference

    name, version = parse_reference(model or "")
    if isinstance(version, str):
        return shlex.join(["handful", "predict", "photo.jpg", "--model", name, "--alias", version])
    return f"{shlex.join(['handful', 'promote', name, str(version)])} makes it champion by hand"


def _evaluated(package: Package, data: Path, split: str, home: Path, *, robustness: bool) -> tuple[Evaluation, str]:
    """The evaluation, and what its task calls labels."""
    from handful_core.runtime.model import load_model
    from handful_trainer.dataset.prepared import PreparedDataset
    from handful_trainer.dataset.sources.base import split_word

    dataset = PreparedDataset.open(data, otherwise=package.manifest.task)
    task = dataset.task
    if robustness and not task.robustness:
        raise ConfigError(f"models of the task {task.name} are not tried on worse pictures", "leave out --robustness")
    if task.engine is not None:
        task.engine.configure(home)
    loaded = load_model(package)
    result = task.evaluate(loaded, dataset, split_word(split) or split)
    return result.stressed(loaded) if robustness else result, task.labels.noun


def _show(result: Evaluation, noun: str) -> None:
    """Tables for a person."""
    title, intervals, metrics = f"{result.images} images of {result.split}", result.intervals(), result.measured()
    if intervals:
        spans = {name: f"{low:.4f} to {high:.4f}" for name, (low, high) in intervals.items()}
        found = [[name, f"{value:.4f}", spans.get(name, "")] for name, value in metrics.items()]
        print_table(title, ("metric", "value", "95 % interval"), found)
    else:
        print_table(title, tuple(metrics), [[f"{value:.4f}" for value in metrics.values()]])
    columns = [key for key in next(iter(result.per_class.values()), {}) if key != noun]
    rows = [[name, int(v[noun]), *(f"{v[key]:.3f}" for key in columns)] for name, v in result.per_class.items()]
    print_table("Classes", ("class", noun, *columns), rows)
