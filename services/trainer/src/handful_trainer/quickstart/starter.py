"""The starter model, which an empty registry gets first: something is served before anything is trained."""

from __future__ import annotations

import os
from importlib.metadata import entry_points
from pathlib import Path

from handful_core.errors import HandfulError
from handful_core.registry import Registry
from handful_trainer.quickstart.guarded import run_handful
from handful_trainer.quickstart.plan import Plan

_FILE = Path("models/starter.zip")


def has_starter(plan: Plan) -> bool:
    """Is there a starter model, and the command that brings it?"""
    return (plan.folder / _FILE).is_file() and bool(entry_points(group="handful.commands", name="import"))


def bring_starter(plan: Plan, registry: Registry) -> str:
    """Import it, unless the registry has models already.

    Returns:
        What came of it, in words.

    Raises:
        HandfulError: the import failed; it has said why.
    """
    if known := registry.models():
        return f"the registry has {', '.join(sorted(model.name for model in known))} already"
    code, _ = run_handful(["import", str(_FILE), "--json"], plan.environment(os.environ), plan.folder)
    if code:
        raise HandfulError(f"the import of {_FILE} ended with code {code}", "its own line above says why")
    names = ", ".join(f"{model.name} ({', '.join(model.aliases)})" for model in registry.models())
    return f"{names} is served at {plan.api} from now on"
