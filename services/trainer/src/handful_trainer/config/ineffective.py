"""Settings that another one switches off: said before a training, not found out after.

A rule is a line of a table: which settings, what switches them off, when, why, and what to do instead. The rules that
hold for every task are here; a task adds its own in `TrainingConfig.ineffective`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from pydantic import BaseModel

from handful_core.console import say
from handful_core.errors import ConfigError

if TYPE_CHECKING:
    from handful_trainer.config.settings import TrainingConfig
    from handful_trainer.dataset.prepared import PreparedDataset


class Written(NamedTuple):
    """A setting that a file or an option gave."""

    key: str
    """Dotted."""
    value: Any
    changed: bool
    """It is another value than the default."""


@dataclass(frozen=True, slots=True)
class Ineffective:
    """Settings that do nothing under some condition."""

    settings: tuple[str, ...]
    """Dotted keys; a section stands for all that is in it."""
    by: tuple[str, ...]
    """The settings that the condition reads."""
    when: Callable[[Any, PreparedDataset | None], bool]
    """The condition, of a configuration and of its dataset where that is known already."""
    because: str
    """Why, with `{config}` filled in."""
    instead: str
    """What to do."""
    level: Literal["refuse", "warn", "search"] = "refuse"
    """warn: what comes of it is what was wanted all the same. search: an ordinary way to switch the setting off, which
    is only refused where a search varies it."""
    verb: str = "does nothing"
    anyway: tuple[Any, ...] = ()
    """Values that say what happens anyway: nothing is wrong with them."""

    def among(self, settings: Iterable[Written]) -> list[Written]:
        """The settings that it is about, but those that say what happens anyway."""
        return [setting for setting in settings if self.covers(setting.key) and setting.value not in self.anyway]

    def covers(self, key: str) -> bool:
        """Is the setting one of these?"""
        return any(key == setting or key.startswith(f"{setting}.") for setting in self.settings)

    def line(self, keys: list[str], config: TrainingConfig) -> str:
        """Which settings do nothing, and why."""
        plural = self.verb.replace("does", "do") if len(keys) > 1 else self.verb
        return f"{' and '.join(keys)} {plural}: {self.because.format(config=config)}"


def refuse_ineffective(config: TrainingConfig, dataset: PreparedDataset | None = None) -> None:
    """Refuse settings that were written and do nothing.

    Where the value is the default's, or where it does no harm, this is only said. With a dataset, only what could not
    be known without it is looked at.

    Args:
        config: as it was read from a file and options.
        dataset: what it is trained on, once that is known.

    Raises:
        ConfigError: a setting that is not the default's value does nothing; the line says why, and what to do.
    """
    refused: list[tuple[Ineffective, list[str]]] = []
    settings = list(written(config))
    for rule in config.ineffective:
        mine = rule.among(settings)
        known = dataset is not None and rule.when(config, None)
        if not mine or rule.level == "search" or known or not rule.when(config, dataset):
            continue
        if rule.level == "refuse" and (changed := [setting.key for setting in mine if setting.changed]):
            refused.append((rule, changed))
        else:
            say(f"warning: {rule.line([setting.key for setting in mine], config)}: {rule.instead}")
    if refused:
        rule, keys = refused[0]
        more = f" (and {len(refused) - 1} more such settings)" if len(refused) > 1 else ""
        raise ConfigError(rule.line(keys, config) + more, rule.instead)


def written(config: BaseModel, prefix: str = "") -> Iterator[Written]:
    """The settings that a file or an option gave.

    A section in which every setting is given was printed by `--print-config`: in it only other values count.
    """
    fields = type(config).model_fields
    printed = config.model_fields_set >= fields.keys()
    for name in fields:
        value = getattr(config, name)
        if name not in config.model_fields_set:
            continue
        if isinstance(value, BaseModel):
            yield from written(value, f"{prefix}{name}.")
            continue
        changed = value != fields[name].get_default(call_default_factory=True)
        if changed or not printed:
            yield Written(f"{prefix}{name}", value, changed)


def _classes(config: TrainingConfig, dataset: PreparedDataset | None) -> tuple[str, ...]:
    return dataset.classes if dataset else config.dataset.classes


def one_class(config: TrainingConfig, dataset: PreparedDataset | None) -> bool:
    """Is there but one class, as far as is known?"""
    return len(_classes(config, dataset)) == 1


_DRAWN = frozenset({"sample", "sample-leaves"})
"""Sources that draw."""
_WITHOUT_TAGS = frozenset({"yolo", "coco", "voc", "folder", "csv", "label-studio"})

EVERY_TASK = (
    Ineffective(
        settings=("dataset.sample",),
        by=("dataset.source",),
        when=lambda c, _: c.dataset.source not in _DRAWN,
        because="dataset.source is {config.dataset.source}, and it belongs to drawings (sample, sample-leaves)",
        instead="leave it out",
    ),
    Ineffective(
        settings=("dataset.picsellia",),
        by=("dataset.source",),
        when=lambda c, _: c.dataset.source != "picsellia",
        because="dataset.source is {config.dataset.source}, and nothing is pulled",
        instead="leave it out, or set dataset.source: picsellia",
        level="warn",
    ),
    Ineffective(
        settings=("dataset.keep_together.tags",),
        by=("dataset.source",),
        when=lambda c, _: c.dataset.source in _WITHOUT_TAGS | _DRAWN,
        because="images of the source {config.dataset.source} have no tags",
        instead="use dataset.keep_together.pattern for their names, or leave it out",
    ),
    Ineffective(
        settings=("dataset.polygons", "dataset.unknown_labels"),
        by=("dataset.source",),
        when=lambda c, _: c.dataset.source in _DRAWN,
        because="drawings have known classes only, and no polygons",
        instead="leave it out",
        level="warn",
    ),
    Ineffective(
        settings=("dataset.counts",),
        by=("dataset.counts", "dataset.classes"),
        when=lambda c, d: bool(c.dataset.counts and d and set(c.dataset.counts) - set(d.classes)),
        because="it names classes that the dataset does not have",
        instead="name them as the dataset does; its report lists them",
        verb="does nothing for some of its names",
    ),
    Ineffective(
        settings=("training.patience",),
        by=("training.patience", "training.epochs"),
        when=lambda c, _: c.training.patience >= c.training.epochs,
        because="training.epochs is {config.training.epochs}, and no training is ended early",
        instead="search below the number of epochs",
        level="search",
    ),
)
"""What holds for every task."""
