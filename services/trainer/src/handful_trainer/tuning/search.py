"""What is searched: settings of a training, each with a range or choices."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Self

from optuna.trial import Trial
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from handful_core.errors import ConfigError
from handful_trainer.config import TrainingConfig, with_values
from handful_trainer.config.loading import read_yaml


class Range(BaseModel):
    """Values of one setting: from low to high, or choices."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    low: float | int | None = None
    high: float | int | None = None
    log: bool = False
    """Search on a logarithmic scale: for learning rates and the like."""
    choices: tuple[str | int | float | bool, ...] | None = None

    @model_validator(mode="after")
    def _one_kind(self) -> Self:
        if (self.choices is None) == (self.low is None or self.high is None):
            raise ValueError("give low and high, or choices")
        if self.low is not None and self.high is not None and self.low > self.high:
            raise ValueError("low is above high")
        if self.log and not (self.low or 0) > 0:
            raise ValueError("log needs a low above 0")
        return self

    def suggest(self, trial: Trial, key: str) -> str | int | float | bool | None:
        """A value for a trial."""
        if self.choices is not None:
            return trial.suggest_categorical(key, self.choices)
        low, high = self.low, self.high
        if isinstance(low, int) and isinstance(high, int):
            return trial.suggest_int(key, low, high, log=self.log)
        return trial.suggest_float(key, float(low or 0), float(high or 0), log=self.log)


class SearchConfig(BaseModel):
    """A search file: dotted keys of the configuration, each with its range."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    search: dict[str, Range] = Field(min_length=1)

    def values(self, trial: Trial) -> dict[str, Any]:
        """One value for every key."""
        return {key: space.suggest(trial, key) for key, space in self.search.items()}

    def check(self, config: TrainingConfig) -> None:
        """See that every key is a setting and every end of its range fits.

        Raises:
            ConfigError: one does not.
        """
        for key, space in self.search.items():
            for value in space.choices or (space.low, space.high):
                with_values(config, {key: value})


def load_search(path: Path) -> SearchConfig:
    """Read a search file.

    Raises:
        ConfigError: no such file, no YAML, or not what a search file holds.
    """
    content = read_yaml(path, "search file", "search", "configs/search.yaml")
    try:
        return SearchConfig.model_validate(content)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        key = ".".join(str(part) for part in first["loc"])
        raise ConfigError(f"{path}: {key}: {first['msg'].removeprefix('Value error, ')}", "correct it") from None
