"""Settings of the monitor."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

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

    host: str = "127.0.0.1"
    """Address that `handful monitor watch` listens on, if it has a port."""

    port: int | None = Field(default=None, ge=1, le=65535)
    """Port on which `handful monitor watch` tells its verdicts over HTTP. If not given, it does not listen."""

    prometheus: str | None = None
    """Address of a Prometheus that scrapes serving, for requests and latency over time. Without one, or while it does
    not answer, requests are counted from the log."""

    mlflow_page: str | None = None
    """Where browsers find MLflow's pages, for links to verdicts and reports. If not given, MLflow's address."""

    log_level: Literal["debug", "info", "warning", "error"] = "info"
    """The lowest level that is logged while it listens."""

    evidently: Path | None = None
    """The Python that has Evidently, which draws reports in HTML. By default that of .venv-evidently beside .venv."""
