"""`handful reproduce`."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING, Annotated

import typer

from handful_core.console import only_results_on_stdout, print_json, print_table, say
from handful_core.errors import RefusedError
from handful_core.settings import CoreSettings, load

if TYPE_CHECKING:
    from handful_trainer.pipeline.reproduce import RunComparison


def reproduce(
    run: Annotated[str, typer.Argument(help="A run's id, models:/NAME@ALIAS or models:/NAME/VERSION.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print the comparison as JSON.")] = False,
) -> None:
    """Train again from what a run logged, and compare the metrics. Nothing is registered."""
    from handful_trainer.pipeline import stages as pipeline
    from handful_trainer.pipeline.kept_splits import find_run
    from handful_trainer.pipeline.reproduce import compare, read_config, read_record
    from handful_trainer.tracking.mlflow_calls import configure_client

    core = load(CoreSettings)
    configure_client()
    run_id = find_run(core.mlflow_uri, run)
    then, config = read_record(core.mlflow_uri, run_id), read_config(core.mlflow_uri, run_id)
    with only_results_on_stdout():
        outcome = pipeline.start(
            pipeline.renamed(config, f"{then.name}-again"),
            core.home,
            core.mlflow_uri,
            tags={"reproduces": run_id},
            register=False,
        )
    comparison = compare(then, read_record(core.mlflow_uri, outcome.run_id))
    if as_json:
        print_json(comparison.as_json())
    else:
        _show(comparison)
    if not comparison.same:
        what = ", ".join(comparison.conditions) or "nothing that was logged: is the training deterministic?"
        raise RefusedError("the metrics are not the same", f"what differs: {what}")
    say("the same metrics, at every epoch")
    if not as_json:
        experiment = config.mlflow.experiment
        say(f"next: {shlex.join(['handful', 'runs', '--experiment', experiment])} lists both; nothing was registered")


def _show(comparison: RunComparison) -> None:
    rows = [
        (d.metric, _number(d.then), _number(d.now), f"{d.worst:.2g}", "same" if d.same else "differs")
        for d in comparison.metrics
        if d.metric.startswith(("test/", "val/")) and "/class/" not in d.metric
    ]
    print_table("Metrics", ("metric", "then", "now", "largest difference", ""), rows)
    if comparison.conditions:
        changed = [(name, was, now) for name, (was, now) in comparison.conditions.items()]
        print_table("What differs", ("what", "then", "now"), changed)


def _number(value: float | None) -> str:
    return "missing" if value is None else f"{value:.6f}"
