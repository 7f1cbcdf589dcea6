"""The starter model, which an empty registry gets first: something is served before anything is trained."""

from __future__ import annotations

import os
from importlib.metadata import entry_points
from pathlib import Path

from handful_core.errors import HandfulError
from handful_core.registry import Registry
from handful_trainer.quickstart import guarded
from handful_trainer.quickstart.plan import Plan
from handful_trainer.quickstart.signals import undisturbed

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
    process = guarded.Guarded(
        guarded.__name__, ["import", str(_FILE), "--json"], plan.environment(os.environ), plan.folder
    )
    try:
        process.output()
        code = process.wait()
    finally:
        with undisturbed():
            process.end()
    if code:
        raise HandfulError(f"the import of {_FILE} ended with code {code}", "its own line above says why")
    names = ", ".join(f"{model.name} ({', '.join(model.aliases)})" for model in registry.models())
    return f"{names} is served at {plan.api} from now on"
