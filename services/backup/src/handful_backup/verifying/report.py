"""What a verification found."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

_EXAMPLES = 3


@dataclass(slots=True)
class Finding:
    """One table, or the artifacts."""

    name: str
    expected: int = 0
    missing: int = 0
    """Not on the server, or different there."""
    examples: list[str] = field(default_factory=list)

    def miss(self, what: str) -> None:
        """Count something that is not there as it should be."""
        self.missing += 1
        if len(self.examples) < _EXAMPLES:
            self.examples.append(what)


@dataclass(slots=True)
class Report:
    """All findings."""

    way: str
    findings: list[Finding] = field(default_factory=list)

    @property
    def holds(self) -> bool:
        """Whether all is there."""
        return not any(finding.missing for finding in self.findings)

    def table(self) -> Iterable[tuple[str, int, int, str]]:
        """Rows for a person."""
        return [(f.name, f.expected, f.missing, "; ".join(f.examples)) for f in self.findings if f.expected]

    def as_json(self) -> dict[str, Any]:
        """For another program."""
        found = {f.name: {"expected": f.expected, "missing": f.missing, "examples": f.examples} for f in self.findings}
        return {"way": self.way, "holds": self.holds, "findings": found}
