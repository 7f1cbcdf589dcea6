"""`handful train --add reviewed`: the same training, with reviewed pictures, from where the champion stands."""

from __future__ import annotations

from typing import Any

from handful_core.errors import ConfigError
from handful_trainer.config.settings import TrainingConfig
from handful_trainer.dataset.settings import SEVERAL, DatasetConfig, SourceConfig

REVIEWED = "reviewed"
_OF_A_SOURCE = frozenset(SourceConfig.model_fields)


def with_added(config: TrainingConfig, what: str) -> TrainingConfig:
    """A configuration that also trains on what is added, and begins with the champion's weights.

    Args:
        config: the training's.
        what: reviewed.

    Raises:
        ConfigError: nothing else can be added.
    """
    if what != REVIEWED:
        raise ConfigError(f"--add {what} is not known", "--add reviewed adds the pictures that people reviewed")
    model = config.mlflow.model_name
    dataset = with_source(config.dataset, SourceConfig(source=REVIEWED, model=model))
    begin = config.model.model_copy(update={"pretrained": f"models:/{model}@champion"})
    return config.model_copy(update={"dataset": dataset, "model": begin})


def with_source(dataset: DatasetConfig, source: SourceConfig) -> DatasetConfig:
    """The same dataset with one source more, unless it has it: name, classes and splits stay as they are."""
    own: tuple[dict[str, Any], ...]
    written = dataset.model_dump(exclude_unset=True)
    if dataset.source == SEVERAL:
        own = tuple(one.model_dump(exclude_unset=True) for one in dataset.sources)
    else:
        own = ({key: value for key, value in written.items() if key in _OF_A_SOURCE},)
    has = any((one["source"], one.get("model", "")) == (source.source, source.model) for one in own)
    added = () if has else (source.model_dump(exclude_unset=True),)
    rest = {key: value for key, value in written.items() if key not in _OF_A_SOURCE}
    return DatasetConfig.model_validate(rest | {"source": SEVERAL, "sources": (*own, *added)})
