"""What an import is going to do."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

COUNTED = ("experiments", "runs", "logged models", "traces", "registered models", "versions", "aliases", "artifacts")


@dataclass(frozen=True, slots=True)
class Wish:
    """How what exists already is treated.

    Attributes:
        overwrite: replace it by what the backup has.
        prefix: put before the names of experiments and registered models, so that nothing exists.
    """

    overwrite: bool = False
    prefix: str = ""


@dataclass(slots=True)
class Line:
    """One kind of thing."""

    new: int = 0
    there: int = 0
    changed: int = 0
    """Exists, and is brought up to what the backup has; unfinished imports too."""


@dataclass(slots=True)
class Plan:
    """What is new, what is there, what changes."""

    way: str
    lines: dict[str, Line] = field(default_factory=lambda: {kind: Line() for kind in COUNTED})
    notes: list[str] = field(default_factory=list)
    """What a person should know: names and numbers that change."""

    @property
    def nothing_to_do(self) -> bool:
        """Whether all is there."""
        return not any(line.new or line.changed for line in self.lines.values())

    def table(self) -> Iterable[tuple[str, int, int, int]]:
        """Rows for a person; kinds that the backup has none of are left out."""
        return [
            (kind, line.new, line.changed, line.there)
            for kind, line in self.lines.items()
            if line.new or line.changed or line.there
        ]

    def as_json(self) -> dict[str, Any]:
        """For another program."""
        kinds = {kind: {"new": new, "changed": changed, "there": there} for kind, new, changed, there in self.table()}
        return {"way": self.way, "plan": kinds, "notes": self.notes}
