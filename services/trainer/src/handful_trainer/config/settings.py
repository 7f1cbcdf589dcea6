"""What every training's configuration file may say; each task adds its own settings to these sections."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from handful_trainer.config.ineffective import EVERY_TASK, Ineffective
from handful_trainer.dataset.settings import DatasetConfig

Unit = Annotated[float, Field(ge=0, le=1)]
Positive = Annotated[float, Field(gt=0)]
NotNegative = Annotated[float, Field(ge=0)]
_TRUTH_VALUES = {"no": False, "off": False, "false": False, "yes": True, "on": True, "true": True}


def truth_value(value: Any) -> Any:
    """A word that means true or false, as that; anything else as it is."""
    return _TRUTH_VALUES.get(value.lower(), value) if isinstance(value, str) else value


OrFalse = BeforeValidator(truth_value)
"""For settings that are a word or false: there pydantic takes `no` and `off` for words."""


class Section(BaseModel):
    """A part of the file. Keys that it does not know are refused."""

    # A run may be called 2024: numbers are read only where they are written just so.
    model_config = ConfigDict(
        frozen=True, extra="forbid", use_attribute_docstrings=True, allow_inf_nan=False, coerce_numbers_to_str=True
    )


class ModelConfig(Section):
    """Which network is trained, and from which weights."""

    pretrained: Annotated[Literal[False] | str, OrFalse] = False
    """Weights to begin with: a name that the task knows (downloaded once), a local file, a registered model
    (models:/NAME@ALIAS or models:/NAME/VERSION), or false for none."""

    if TYPE_CHECKING:  # Some tasks have a field of this name, which pydantic takes for an oversight elsewhere.

        @property
        def architecture(self) -> str:
            """What the network is called."""


class TrainingSettings(Section):
    """How it is trained."""

    epochs: int = Field(default=100, ge=1)
    """How often the training images are seen."""
    patience: int = Field(default=100, ge=0)
    """Stop after so many epochs without a better validation result."""
    batch: int = Field(default=16, ge=1)
    """Images per step."""
    imgsz: int = Field(default=224, ge=32)
    """Side of the square that the network sees, in pixels. The largest lever on speed."""
    device: str | int | list[int] = "auto"
    """auto (CUDA if there, else CPU), cpu, mps, a CUDA device's number, or several."""
    workers: int = Field(default=8, ge=0)
    """Processes that load images. Never more than there are processors, and none beside a training on a CPU."""
    seed: int = Field(default=0, ge=0)
    """Seed of all random choices."""


class AugmentationConfig(Section):
    """How training images are varied."""


class PackageConfig(Section):
    """How the trained model is packaged."""

    weights: bool = True
    """Put the PyTorch weights into the package, for fine-tuning from it."""


class MlflowConfig(Section):
    """Where the training is written down."""

    experiment: str = Field(default="fingers", min_length=1)
    """Experiment that the run belongs to."""
    run_name: str | None = None
    """The run's name. If not given, made from model and time."""
    model_name: str = Field(default="fingers", pattern=r"^[^/:%@\s]+$")
    """Name in the registry."""
    tags: dict[str, str] = {}
    """Tags of the run."""


class GateConfig(Section):
    """When a new version becomes champion."""

    metric: str
    """What is compared on the new version's test images: one of the task's metrics."""
    margin: Unit = 0.005
    """By so much the new version must be better than the champion."""
    min_images: int = Field(default=30, ge=1)
    """Test images that neither version has seen: with fewer nothing is decided, and the champion stays."""
    significant: bool = False
    """Promote only if the whole 95 % interval of the difference lies above 0."""


class TrainingConfig(Section):
    """A training, from data to champion. Each task has a subclass of its own: `task` in the file names it."""

    task: ClassVar[str]
    """The task's name."""
    ineffective: ClassVar[tuple[Ineffective, ...]] = EVERY_TASK
    """When which settings do nothing; a task adds its own rules."""
    model: ModelConfig
    dataset: DatasetConfig
    training: TrainingSettings
    augmentation: AugmentationConfig
    package: PackageConfig
    mlflow: MlflowConfig = MlflowConfig()
    gate: GateConfig
