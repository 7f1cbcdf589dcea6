"""What came of a training, step by step."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from handful_core.console import Step


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
    gate: dict[str, Any] = field(default_factory=dict)
    """What the gate compared and decided; empty where nothing was registered."""
    metrics: dict[str, float] = field(default_factory=dict)

    def step(self, name: str) -> Step:
        """The next step: a context manager."""
        self.steps.append(Step(name))
        return self.steps[-1]

    def as_json(self) -> dict[str, Any]:
        """What `handful train --json` prints."""
        return {
            "run_id": self.run_id,
            "folder": str(self.folder),
            "model": self.model,
            "version": self.version,
            "promoted": self.promoted,
            "reason": self.reason,
            "gate": self.gate,
            "metrics": self.metrics,
            "steps": [
                {"step": step.name, "seconds": round(step.seconds, 2), "result": step.result} for step in self.steps
            ],
        }
