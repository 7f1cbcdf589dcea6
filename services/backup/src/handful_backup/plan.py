"""What an import is asked to do, and what it is going to do."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from handful_backup.archive import BackupReader
from handful_backup.selection import SelectedItems

COUNTED = ("experiments", "runs", "logged models", "traces", "registered models", "versions", "aliases", "artifacts")


@dataclass(frozen=True, slots=True)
class ConflictPolicy:
    """What happens to things that exist already.

    Attributes:
        overwrite: replace them by what the backup has.
        prefix: put before the names of experiments and registered models, so that nothing exists.
    """

    overwrite: bool = False
    prefix: str = ""

    def prefixed(self, name: str) -> str:
        """A name or id as the import writes it."""
        return self.prefix + name


_KEEP_EXISTING = ConflictPolicy()


@dataclass(frozen=True, slots=True)
class ImportJob:
    """What is imported, and how.

    Attributes:
        backup: its hashes were checked.
        jobs: transfers at the same time.
        selected: what of the backup is wanted; None for all.
        policy: what happens to things that exist.
    """

    backup: BackupReader
    jobs: int
    selected: SelectedItems | None = None
    policy: ConflictPolicy = _KEEP_EXISTING


@dataclass(slots=True)
class PlanLine:
    """One kind of thing."""

    new: int = 0
    there: int = 0
    changed: int = 0
    """Exists, and is brought up to what the backup has; unfinished imports too."""


@dataclass(slots=True)
class ImportPlan:
    """What is new, what exists, what changes."""

    way: str
    lines: dict[str, PlanLine] = field(default_factory=lambda: {kind: PlanLine() for kind in COUNTED})
    notes: list[str] = field(default_factory=list)
    """What a person should know: names and numbers that change."""

    @property
    def nothing_to_do(self) -> bool:
        """Whether everything exists."""
        return not any(line.new or line.changed for line in self.lines.values())

    def count(self, kind: str, *, is_new: bool, changes: bool) -> None:
        """Count one thing of a kind."""
        line = self.lines[kind]
        if is_new:
            line.new += 1
        elif changes:
            line.changed += 1
        else:
            line.there += 1

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
