"""Settings of the monitor."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

from handful_monitor.domain import LEAST_ROWS


class MonitorSettings(BaseSettings):
    """`HANDFUL_MONITOR_*`."""

    model_config = SettingsConfigDict(
        env_prefix="HANDFUL_MONITOR_", env_ignore_empty=True, frozen=True, use_attribute_docstrings=True
    )

    rows: int = Field(default=250, ge=LEAST_ROWS, le=1_000_000)
    """A window has at least so many answers."""

    minutes: float = Field(default=15, ge=0, le=10_080)
    """`handful monitor watch` gives each camera a verdict at most so often."""

    days: int = Field(default=7, ge=1, le=366)
    """Answers that are older are left out."""

    evidently: Path | None = None
    """The Python that has Evidently, which draws reports in HTML; by default that of .venv-evidently beside .venv."""
