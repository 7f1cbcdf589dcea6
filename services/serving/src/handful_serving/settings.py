"""`HANDFUL_SERVING_*`: the settings of serving."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict


class ServingSettings(BaseSettings):
    """What serving can be told. MLflow's address and the home folder are in `CoreSettings`."""

    model_config = SettingsConfigDict(env_prefix="HANDFUL_SERVING_", frozen=True, use_attribute_docstrings=True)

    host: str = "127.0.0.1"
    """Address to listen on."""
    port: int = Field(default=8000, ge=1, le=65535)
    """Port to listen on."""
    default_model: str = "fingers"
    """The model of a request that names none, if it has a champion."""
    models: Annotated[tuple[str, ...], NoDecode] = ()
    """Names of the models to serve, with commas between; every registered model if empty."""
    poll_seconds: float = Field(default=2, gt=0)
    """How often the registry is asked where its aliases point."""
    registry_timeout: float = Field(default=5, gt=0)
    """Seconds to wait for one answer of MLflow."""
    cache_dir: Path | None = None
    """Folder of the packages that were fetched; cache/models in the home folder if not given."""
    cache_versions: int = Field(default=10, ge=1)
    """Versions of a model that stay in the cache."""
    max_loaded: int = Field(default=4, ge=1)
    """Models in memory at once. The default model's champion stays; of the others the least recently used goes."""
    threads: int | None = Field(default=None, ge=1)
    """Processors for inference; all that this process may use if not given."""
    max_body_bytes: int = Field(default=20_000_000, ge=1)
    """Bytes of a request's body."""
    max_pixels: int = Field(default=50_000_000, ge=1)
    """Pixels of an image."""
    dashboard_dir: Path | None = None
    """Folder of the dashboard, which is then served at /; `handful serve` finds it in a working copy."""
    shutdown_seconds: int = Field(default=30, ge=1)
    """How long requests that were accepted may take to finish when the server ends."""
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    """The lowest level that is logged."""
    log_json: bool | None = None
    """One JSON object a line; if not given, whenever stderr is no terminal."""

    @field_validator("models", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        return tuple(name.strip() for name in value.split(",") if name.strip()) if isinstance(value, str) else value

    @field_validator("log_level", mode="before")
    @classmethod
    def _lower(cls, value: object) -> object:
        return value.lower() if isinstance(value, str) else value
