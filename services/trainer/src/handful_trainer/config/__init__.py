"""One typed file per training."""

from handful_trainer.config.loading import load_config, to_yaml, with_values
from handful_trainer.config.settings import (
    AugmentationConfig,
    GateConfig,
    MlflowConfig,
    ModelConfig,
    PackageConfig,
    TrainingConfig,
    TrainingSettings,
)

__all__ = [
    "AugmentationConfig",
    "GateConfig",
    "MlflowConfig",
    "ModelConfig",
    "PackageConfig",
    "TrainingConfig",
    "TrainingSettings",
    "load_config",
    "to_yaml",
    "with_values",
]
