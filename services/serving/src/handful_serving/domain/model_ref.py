"""References to models: a version, or what a request says of one."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, order=True)
class ModelVersion:
    """One version of one model."""

    name: str
    version: int

    def __str__(self) -> str:
        return f"{self.name} version {self.version}"


@dataclass(frozen=True, slots=True)
class ModelRef:
    """The model that a request names; None leaves the choice to serving. At most one of version and alias."""

    model: str | None = None
    version: int | None = None
    alias: str | None = None

    @property
    def is_pinned(self) -> bool:
        """It names a version or an alias, so no challenger answers in its place."""
        return self.version is not None or self.alias is not None
