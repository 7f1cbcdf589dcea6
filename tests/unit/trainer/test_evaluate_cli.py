"""An evaluation ends with the command that makes use of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from handful_trainer.cli.evaluate import _next


@pytest.mark.parametrize(
    ("package", "model", "expected"),
    [
        ("new.zip", None, "handful register new.zip --data 'my data' makes a version of it, champion if it is better"),
        (None, "models:/fingers/3", "handful promote fingers 3 makes it champion by hand"),
        (None, "models:/fingers@champion", "handful predict photo.jpg --model fingers --alias champion"),
        (None, "models:/my model@new", "handful predict photo.jpg --model 'my model' --alias new"),
    ],
)
def test_what_comes_next(package: str | None, model: str | None, expected: str) -> None:
    assert _next(Path(package) if package else None, model, Path("my data")) == expected
