"""`handful evaluate`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from handful_core.console import only_results_on_stdout, print_json, print_table, say
from handful_core.files import write_atomically
from handful_core.settings import CoreSettings, load
from handful_trainer.cli.packages import opened_package


def evaluate(
    data: Annotated[Path, typer.Option("--data", help="A prepared dataset's folder, or a data.yaml.")],
    package: Annotated[Path | None, typer.Option("--package", help="A model package: folder or ZIP file.")] = None,
    model: Annotated[str | None, typer.Option("--model", help="models:/NAME@ALIAS or models:/NAME/VERSION.")] = None,
    split: Annotated[str, typer.Option("--split", help="train, val or test.")] = "test",
    output: Annotated[Path | None, typer.Option("--output", help="Folder for metrics.json and pictures.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Measure a packaged model on a split of a dataset."""
    from handful_core.runtime.model import load_model
    from handful_trainer.dataset.prepared import PreparedDataset

    core = load(CoreSettings)
    dataset = PreparedDataset.open(data)
    task = dataset.task
    if task.engine is not None:
        task.engine.configure(core.home)
    with only_results_on_stdout(), opened_package(package, model, core.mlflow_uri) as opened:
        result = task.evaluate(load_model(opened), dataset, split)
    if output is not None:
        folder = result.write(output)
        # The few numbers that runs and versions carry, for programs that compare.
        write_atomically(folder / "summary.json", json.dumps(result.metrics(), indent=2) + "\n")
        say(f"pictures and metrics in {folder}")
    if as_json:
        print_json(result.as_json())
        return
    metrics = result.metrics()
    print_table(f"{result.images} images of {split}", tuple(metrics), [[f"{value:.4f}" for value in metrics.values()]])
    noun = task.labels.noun
    columns = [key for key in next(iter(result.per_class.values()), {}) if key != noun]
    rows = [[name, int(v[noun]), *(f"{v[key]:.3f}" for key in columns)] for name, v in result.per_class.items()]
    print_table("Classes", ("class", noun, *columns), rows)
