"""Naming a version of a model."""

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
    """Which model a request asks for; None leaves the choice to serving. At most one of version and alias."""

    model: str | None = None
    version: int | None = None
    alias: str | None = None
