"""`handful train` as a process of its own: it gives its memory back, and ends when the quickstart does."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from handful_core.console import say
from handful_core.errors import DataError, HandfulError, NotFoundError
from handful_trainer.config import TrainingConfig
from handful_trainer.pipeline.run_folder import open_run, unfinished_run
from handful_trainer.pipeline.weights import resolve_alias
from handful_trainer.quickstart.guarded import run_handful
from handful_trainer.quickstart.plan import Plan


def train(plan: Plan, config: TrainingConfig) -> dict[str, Any]:
    """Train, or go on with a training of this configuration that was interrupted.

    Its progress and its words go to the terminal.

    Returns:
        What `handful train --json` prints.

    Raises:
        HandfulError: it failed; it has said why.
    """
    interrupted = None if plan.retrain else _interrupted(plan.home, resolve_alias(config, plan.mlflow))
    if interrupted:
        say(f"going on with the training {interrupted.name}, which was interrupted")
    which = ["--resume", "--run", str(interrupted)] if interrupted else ["--config", str(plan.config)]
    code, output = run_handful(["train", *which, "--json"], plan.environment(os.environ), plan.folder)
    if code:
        raise HandfulError(f"the training ended with code {code}", "its own line above says why; --retrain begins anew")
    result: dict[str, Any] = json.loads(output)
    return result


def _interrupted(home: Path, config: TrainingConfig) -> Path | None:
    """The folder of the newest training, if it has this configuration and did not end."""
    try:
        folder, its_config = open_run(unfinished_run(home).path)
    except (NotFoundError, DataError):
        return None
    return folder.path if its_config == config else None
