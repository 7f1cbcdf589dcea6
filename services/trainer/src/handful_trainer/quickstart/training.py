"""`handful train` as a process of its own: it gives its memory back, and ends when the quickstart does."""

from __future__ import annotations

import json
import os
from typing import Any

from handful_core.errors import HandfulError
from handful_trainer.quickstart import guarded
from handful_trainer.quickstart.plan import Plan
from handful_trainer.quickstart.signals import undisturbed


def train(plan: Plan) -> dict[str, Any]:
    """Train; its progress and its words go to the terminal.

    Returns:
        What `handful train --json` prints.

    Raises:
        HandfulError: it failed; it has said why.
    """
    words = ["train", "--config", str(plan.config), "--json"]
    process = guarded.Guarded(guarded.__name__, words, plan.environment(os.environ), plan.folder)
    try:
        output = process.output()
        code = process.wait()
    finally:
        with undisturbed():
            process.end()
    if code:
        raise HandfulError(f"the training ended with code {code}", "its own line above says why")
    result: dict[str, Any] = json.loads(output)
    return result
