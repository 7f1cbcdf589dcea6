"""Weights as they may leave the house: what they say of the training stays, what they say of the machine goes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

_PATHS = ("data", "model", "pretrained", "project", "save_dir")
"""Arguments that name a place on the machine that trained."""
_OF_THE_MACHINE = ("git",)
"""Where the code lay, its branch and its newest commit's message; the manifest names the commit."""


def write_checkpoint(weights: Path, target: Path) -> None:
    """Copy Ultralytics' weights without the paths of the machine that trained them.

    Ultralytics also writes the dataset's path into what it exports from them.

    Args:
        weights: a `.pt` file.
        target: where the copy goes.
    """
    import torch
    from ultralytics.utils.patches import torch_load

    checkpoint: dict[str, Any] = torch_load(weights, map_location="cpu")
    kept = {key: value for key, value in checkpoint.items() if key not in _OF_THE_MACHINE}
    if "train_args" in kept:
        kept["train_args"] = {**kept["train_args"], **_names(kept["train_args"])}
    for key in ("model", "ema"):
        arguments = getattr(kept.get(key), "args", None)
        if isinstance(arguments, dict):
            arguments.update(_names(arguments))
        elif arguments is not None:
            vars(arguments).update(_names(vars(arguments)))
        origin = getattr(kept.get(key), "pt_path", None)
        if isinstance(origin, str):
            kept[key].pt_path = Path(origin).name
    torch.save(kept, target)


def _names(arguments: dict[str, Any]) -> dict[str, str]:
    """The last part of each path."""
    return {key: Path(arguments[key]).name for key in _PATHS if isinstance(arguments.get(key), str)}
