"""`handful tune`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from handful_core.console import only_results_on_stdout, print_json, print_table, say
from handful_core.settings import CoreSettings, load


def tune(
    config: Annotated[Path, typer.Option("--config", "-c", metavar="FILE", help="The training's YAML file.")],
    search: Annotated[
        Path, typer.Option("--search", "-s", metavar="FILE", help="YAML file of what is searched, and where.")
    ],
    trials: Annotated[int, typer.Option(min=1, help="Trainings in all, including those of an earlier call.")] = 20,
    name: Annotated[
        str | None, typer.Option(metavar="NAME", help="Name of the search. The same name continues it.")
    ] = None,
    storage: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", envvar="HANDFUL_TUNE_STORAGE", help="File with the URL of a Postgres: workers share it."
        ),
    ] = None,
    overrides: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Override a setting: section.key=value. May be repeated."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Search for better settings: many trainings, each a run of its own, bad ones given up early."""
    from handful_trainer.config import load_config
    from handful_trainer.pipeline.torchrun import refuse_torchrun
    from handful_trainer.tracking.mlflow_calls import configure_client
    from handful_trainer.tuning import load_search
    from handful_trainer.tuning import tune as go

    refuse_torchrun("handful tune")
    core = load(CoreSettings)
    configure_client()
    training, space = load_config(config, overrides or []), load_search(search)
    title = name or f"{config.stem}-{search.stem}"
    with only_results_on_stdout():
        result = go(training, space, title, trials, core.home, core.mlflow_uri, storage)
    if as_json:
        print_json(result.as_json())
        return
    ordered = sorted(result.trials, key=lambda trial: trial["score"] or 0.0, reverse=True)[:10]
    keys = tuple(result.best)
    rows = [
        (t["trial"], t["state"], "" if t["score"] is None else f"{t['score']:.4f}", *(t["values"].get(k) for k in keys))
        for t in ordered
    ]
    print_table(
        f"{result.name}: {len(result.trials)} trials",
        ("trial", "state", result.metric.removeprefix("val/"), *keys),
        rows,
    )
    say(f"next, train with the best: handful train --config {result.config}")
