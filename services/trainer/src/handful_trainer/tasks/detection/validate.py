"""Settings that cannot work with a dataset: told before hours of training, not after."""

from __future__ import annotations

from handful_core.errors import ConfigError
from handful_trainer.dataset.prepared import PreparedDataset
from handful_trainer.tasks.detection.settings import DetectionConfig

_SINGLE = "item"
"""What Ultralytics calls the one class of `single_cls`."""


def validate_against_dataset(config: DetectionConfig, dataset: PreparedDataset, *, register: bool = True) -> None:
    """Refuse what would only fail once the training is over.

    Args:
        config: the training's configuration.
        dataset: what it is trained on.
        register: whether the model goes to the registry, and so to the gate.

    Raises:
        ConfigError: the model could not be evaluated, or could not pass the gate.
    """
    if config.training.single_cls and _SINGLE not in dataset.classes:
        raise ConfigError(
            f"training.single_cls makes a model with the one class {_SINGLE}, which the dataset does not have",
            "leave it out, and give all boxes one label to train one class",
        )
    if register and config.gate.metric == "count_accuracy" and not dataset.counts:
        raise ConfigError(
            "gate.metric is count_accuracy, but no class of the dataset counts anything",
            "set dataset.counts, or another gate.metric",
        )
