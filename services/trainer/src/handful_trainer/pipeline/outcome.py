"""What came of a training, step by step."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from handful_core.errors import HandfulError


@dataclass(slots=True)
class Step:
    """One that is under way, or over."""

    name: str
    seconds: float = 0.0
    result: str = "done"
    """In words."""


@dataclass(slots=True)
class TrainingOutcome:
    """What came of a training."""

    run_id: str
    folder: Path
    steps: list[Step] = field(default_factory=list)
    model: str = ""
    version: int | None = None
    promoted: bool = False
    reason: str = ""
    metrics: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def step(self, name: str) -> Iterator[Step]:
        """Time a step and keep its result; a failure is kept too."""
        began, step = time.perf_counter(), Step(name)
        try:
            yield step
        except HandfulError as error:
            step.result = f"failed: {error.message}"
            raise
        finally:
            step.seconds = time.perf_counter() - began
            self.steps.append(step)

    def as_json(self) -> dict[str, Any]:
        """What `handful train --json` prints."""
        return {
            "run_id": self.run_id,
            "folder": str(self.folder),
            "model": self.model,
            "version": self.version,
            "promoted": self.promoted,
            "reason": self.reason,
            "metrics": self.metrics,
            "steps": [
                {"step": step.name, "seconds": round(step.seconds, 2), "result": step.result} for step in self.steps
            ],
        }
