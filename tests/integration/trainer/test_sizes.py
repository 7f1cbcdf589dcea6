"""Every network builds, trains a step, is exported, and answers as its weights do."""

from __future__ import annotations

import pytest

from support.training import Trainer

SIZES = [f"{family}{size}" for family in ("yolo11", "yolo26") for size in "nsmlx"]
QUICK = {"yolo26n"}  # yolo11n is what the other tests train.
SECONDS = 1800
"""Ample: the largest take minutes of processor time, and others may be at work."""


@pytest.mark.timeout(SECONDS + 60)
@pytest.mark.parametrize(
    "name", [name if name in QUICK else pytest.param(name, marks=pytest.mark.slow) for name in SIZES]
)
def test_all_the_way(trainer: Trainer, name: str) -> None:
    settings = (f"model.family={name[:-1]}", f"model.size={name[-1]}", "training.epochs=1", "training.imgsz=64")
    outcome = trainer.finish(trainer.start(*trainer.anew(*settings)), SECONDS)
    assert outcome["version"] == 1
    assert "parity" in trainer.mlflow_run().data.tags
