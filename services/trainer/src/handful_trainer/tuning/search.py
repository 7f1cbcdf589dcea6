"""What is searched: settings of a training, each with a range or choices."""

from __future__ import annotations

import itertools
import math
from collections.abc import Collection, Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from optuna.trial import Trial
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from handful_core.console import say
from handful_core.errors import ConfigError
from handful_trainer.config import TrainingConfig, with_values
from handful_trainer.config.ineffective import written
from handful_trainer.config.loading import flatten, read_yaml
from handful_trainer.tasks import engine_of

if TYPE_CHECKING:
    from handful_trainer.dataset.prepared import PreparedDataset

_SHARED = {"dataset", "package", "mlflow", "gate"}
"""Sections that all trials share."""
_SPEED = {"training.device", "training.workers"}
_MOST_COUNTED = 10_000


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

    @property
    def values(self) -> tuple[str | int | float | bool, ...] | None:
        """All of them, where they can be counted."""
        if self.choices is not None:
            return self.choices
        if self.low is not None and self.low == self.high:
            return (self.low,)
        if isinstance(self.low, int) and isinstance(self.high, int):
            return tuple(range(self.low, self.high + 1)) if self.high - self.low < _MOST_COUNTED else None
        return None

    @property
    def samples(self) -> tuple[str | int | float | bool, ...]:
        """Values that stand for all: the choices, or both ends, which of floats no trial ever hits."""
        low, high = self.low, self.high
        if self.choices is not None or low is None or high is None:
            return self.choices or ()
        if isinstance(low, int) and isinstance(high, int):
            return (low, high)
        inwards = (high - low) * 1e-6
        return (low + inwards, high - inwards)

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
        """One value for every key.

        Raises:
            ConfigError: the study was begun with choices where there is a range now, or with other choices.
        """
        try:
            return {key: space.suggest(trial, key) for key, space in self.search.items()}
        except ValueError as error:  # Optuna's word for it.
            raise ConfigError(f"the search was begun with other choices ({error})", "give another --name") from error

    def fitted(self, config: TrainingConfig) -> Self:
        """The same search with the choices as the settings read them, so that `1e-3` and 0.001 are one.

        Raises:
            ConfigError: a key is no setting that changes a trial's result, or a value does not fit or comes twice.
        """
        return self.model_copy(
            update={"search": {key: _fitted(key, space, config) for key, space in self.search.items()}}
        )

    def refuse_ineffective(self, config: TrainingConfig, dataset: PreparedDataset | None = None) -> None:
        """Refuse a search of settings that do nothing, in some of its trials or in all.

        Args:
            config: what is searched around.
            dataset: what all trials train on, once that is known.

        Raises:
            ConfigError: a setting that is searched, or that the file sets, does nothing where others have some value.
        """
        kept = [setting for setting in written(config) if setting.key not in self.search]
        for rule in config.ineffective:
            mine = rule.among(kept)
            keys = [key for key in self.search if rule.covers(key)]
            keys += [setting.key for setting in mine if setting.changed and rule.level == "refuse"]
            if not (keys or mine):
                continue
            trials = [(values, with_values(config, values)) for values in self._samples(rule.by)]
            idle = [(values, trial) for values, trial in trials if rule.when(trial, dataset)]
            if keys and idle:
                values, trial = idle[0]
                where = f" (in trials with {_shown(values)})" if values else ""
                raise ConfigError(f"{rule.line(keys, trial)}{where}", rule.instead)
            known = dataset is not None and all(rule.when(trial, None) for _, trial in trials)
            if mine and len(idle) == len(trials) and rule.level != "search" and not known:
                say(f"warning: {rule.line([setting.key for setting in mine], idle[0][1])}: {rule.instead}")

    def _samples(self, keys: Iterable[str]) -> Iterator[dict[str, Any]]:
        searched = {key: self.search[key].samples for key in keys if key in self.search}
        return (dict(zip(searched, values, strict=True)) for values in itertools.product(*searched.values()))

    def untried(self, tried: Collection[Settings]) -> list[dict[str, Any]] | None:
        """The combinations that are left; None where there are too many to be counted."""
        spaces = [space.values for space in self.search.values()]
        if any(space is None for space in spaces) or math.prod(len(space or ()) for space in spaces) > _MOST_COUNTED:
            return None
        every = (
            dict(zip(self.search, values, strict=True)) for values in itertools.product(*(s or () for s in spaces))
        )
        return [values for values in every if settings_of_trial(values) not in tried]


Settings = frozenset[tuple[str, Any]]
"""What a trial is trained with."""


def settings_of_trial(values: Mapping[str, Any]) -> Settings:
    """Values that can be compared with those of other trials."""
    return frozenset(values.items())


def _shown(values: Mapping[str, Any]) -> str:
    return ", ".join(f"{key} {value}" for key, value in values.items())


def _fitted(key: str, space: Range, config: TrainingConfig) -> Range:
    ends = space.choices if space.choices is not None else (space.low, space.high)
    read = [flatten(with_values(config, {key: value}).model_dump())[key] for value in ends]
    section = key.partition(".")[0]
    if section in _SHARED or key in _SPEED:
        metric = engine_of(config.task).validation_metric
        raise ConfigError(
            f"{key} cannot be searched: trials share a dataset and are compared by {metric}, which it does not change",
            "search settings of the sections model, training and augmentation",
        )
    if space.choices is None:
        return space
    if twice := [value for value in read if read.count(value) > 1]:
        raise ConfigError(f"the choices of {key} hold {twice[0]} twice", "leave one out")
    return space.model_copy(update={"choices": tuple(read)})


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
