"""One typed file per training."""

from handful_trainer.config.loading import load_config, load_dataset_config, to_yaml, with_values
from handful_trainer.config.settings import GateConfig, MlflowConfig, TrainingConfig

__all__ = [
    "GateConfig",
    "MlflowConfig",
    "TrainingConfig",
    "load_config",
    "load_dataset_config",
    "to_yaml",
    "with_values",
]
