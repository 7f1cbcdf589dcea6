"""What the configuration of a detector's training may say: names and defaults are Ultralytics' own."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import Field, field_validator, model_validator

from handful_trainer.config.ineffective import Ineffective
from handful_trainer.config.settings import (
    AugmentationConfig,
    GateConfig,
    ModelConfig,
    NotNegative,
    OrFalse,
    PackageConfig,
    Positive,
    Section,
    TrainingConfig,
    TrainingSettings,
    Unit,
    truth_value,
)
from handful_trainer.tasks.detection.ineffective import DETECTION

_LAYERS = 24
"""Of YOLO11 and of YOLO26, in all sizes."""


class _Network(Section):
    # A base of its own, so that family and size come first in the file.
    family: Literal["yolo11", "yolo26"] = "yolo11"
    """The YOLO generation."""
    size: Literal["n", "s", "m", "l", "x"] = "n"
    """nano, small, medium, large or extra large."""


class DetectionModel(ModelConfig, _Network):
    """Which network is trained, and from which weights."""

    pretrained: Literal[False] | str = False
    """Weights to begin with: a name such as yolo11n.pt (downloaded once), a local file, a registered model
    (models:/NAME@ALIAS or models:/NAME/VERSION), or false for none."""

    @field_validator("pretrained", mode="before")
    @classmethod
    def _weights_or_false(cls, value: Any) -> Any:
        wanted = truth_value(value)
        if wanted is not False and not isinstance(wanted, str):
            raise ValueError("give the weights' name (such as yolo11n.pt), a local file, or false")
        return wanted

    @property
    def architecture(self) -> str:
        """Such as yolo11n."""
        return f"{self.family}{self.size}"


class DetectionTraining(TrainingSettings):
    """How it is trained."""

    imgsz: int = Field(default=640, ge=32, multiple_of=32)
    """Side of the square that the network sees, in pixels. The largest lever on speed."""
    optimizer: Literal["auto", "SGD", "MuSGD", "Adam", "Adamax", "AdamW", "NAdam", "RAdam", "RMSProp"] = "auto"
    """auto lets Ultralytics choose optimizer, learning rate and momentum: AdamW up to 10,000 steps, else MuSGD."""
    lr0: Positive = 0.01
    """First learning rate. Refused with the optimizer auto, which sets its own."""
    lrf: Positive = 0.01
    """Last learning rate as a share of the first."""
    momentum: Unit = 0.937
    """SGD's momentum, Adam's beta1. Refused where the optimizer auto takes AdamW, with a momentum of 0.9."""
    weight_decay: NotNegative = 0.0005
    """L2 regularisation."""
    warmup_epochs: NotNegative = 3.0
    """Epochs in which the learning rate rises. The last epoch is never one of them."""
    warmup_momentum: Unit = 0.8
    """Momentum at the beginning of the warm-up, of SGD, MuSGD and RMSProp."""
    warmup_bias_lr: NotNegative = 0.1
    """Learning rate of biases at the beginning of the warm-up. With the optimizer auto it is 0."""
    cos_lr: bool = False
    """Let the learning rate fall along a cosine."""
    box: NotNegative = 7.5
    """Weight of the box loss."""
    cls: NotNegative = 0.5
    """Weight of the class loss."""
    dfl: NotNegative = 1.5
    """Weight of the distribution focal loss."""
    cls_pw: Unit = 0.0
    """Class weights against imbalance: 0 none, 1 inverse to frequency. Needs two classes."""
    nbs: int = Field(default=64, ge=1)
    """Nominal batch: gradients gather until so many images were seen."""
    freeze: int | list[int] | None = None
    """Freeze the first layers (how many), or these, of 0 to 23."""
    multi_scale: Unit = 0.0
    """Vary imgsz by this share."""
    single_cls: bool = False
    """Treat all classes as one."""
    rect: bool = False
    """Rectangular batches: no mosaic, mixup or cutmix, and one device only."""
    fraction: Annotated[float, Field(gt=0, le=1)] = 1.0
    """Share of the training images that is used."""
    cache: Annotated[Literal[False, "ram", "disk"], OrFalse] = False
    """Keep decoded images in memory or on disk."""
    amp: bool = True
    """Mixed precision on CUDA devices."""
    deterministic: bool = True
    """The same result from the same seed, on the same machine."""
    max_time_hours: Positive | None = None
    """Train so long, whatever `epochs` says."""

    @field_validator("freeze")
    @classmethod
    def _layers(cls, value: int | list[int] | None) -> int | list[int] | None:
        layers = value if isinstance(value, list) else [] if value is None else [value]
        if any(not 0 <= layer < _LAYERS for layer in layers):
            raise ValueError(f"the network has {_LAYERS} layers, 0 to {_LAYERS - 1}, and one has to be trained")
        return value


class DetectionAugmentation(AugmentationConfig):
    """How training images are varied."""

    hsv_h: Unit = 0.015
    """Hue, share of the circle."""
    hsv_s: Unit = 0.7
    """Saturation, share."""
    hsv_v: Unit = 0.4
    """Brightness, share."""
    degrees: Annotated[float, Field(ge=0, le=180)] = 0.0
    """Rotation, up to so many degrees both ways."""
    translate: Unit = 0.1
    """Shift, share of the image."""
    scale: NotNegative = 0.5
    """Size, share both ways."""
    shear: Annotated[float, Field(ge=0, le=180)] = 0.0
    """Shear, degrees."""
    perspective: Annotated[float, Field(ge=0, le=0.001)] = 0.0
    """Perspective, 0 to 0.001."""
    flipud: Unit = 0.0
    """Probability of a flip upside down."""
    fliplr: Unit = 0.5
    """Probability of a flip left to right."""
    bgr: Unit = 0.0
    """Probability of swapped colour channels."""
    mosaic: Unit = 1.0
    """Probability of four images in one, until the last `close_mosaic` epochs."""
    close_mosaic: int = Field(default=10, ge=0)
    """No mosaic, mixup or cutmix in so many last epochs. 0 to have them to the end. From `epochs` on there is none."""
    mixup: Unit = 0.0
    """Probability of two images blended, until the last `close_mosaic` epochs."""
    cutmix: Unit = 0.0
    """Probability of a patch from another image, until the last `close_mosaic` epochs."""
    erasing: Annotated[float, Field(ge=0, lt=1)] = 0.4
    """Does nothing for detectors, and is refused: Ultralytics erases patches for classifiers only."""


class _Output(Section):
    # A base of its own, so that these come first in the file.
    head: Literal["auto", "raw", "nms_free", "nms_in_graph"] = "auto"
    """Output layout. auto is raw, as the trained model itself predicts. nms_free needs yolo26."""
    confidence: Unit | Literal["auto"] = "auto"
    """Threshold that serving uses by default. auto: what finds and counts best on the validation images."""
    iou: Unit = 0.7
    """Boxes of one class that overlap by more than this are one object."""
    second_look: bool = False
    """The graph looks at the image at half the size, too, for objects that fill it. A third slower. Raw heads only."""
    class_agnostic: bool | Literal["auto"] = "auto"
    """Boxes that overlap so are one object whatever their classes. auto: where classes are counted."""


class DetectionPackage(PackageConfig, _Output):
    """How the trained model is packaged."""


class DetectionGate(GateConfig):
    """When a new version becomes champion."""

    metric: Literal["mAP50", "mAP50_95", "precision", "recall", "f1", "count_accuracy"] = "mAP50_95"
    """What is compared on the new version's test images."""


class DetectionConfig(TrainingConfig):
    """A detector's training, from data to champion."""

    task: ClassVar[str] = "detect"
    ineffective: ClassVar[tuple[Ineffective, ...]] = DETECTION
    model: DetectionModel = DetectionModel()
    training: DetectionTraining = DetectionTraining()
    augmentation: DetectionAugmentation = DetectionAugmentation()
    package: DetectionPackage = DetectionPackage()
    gate: DetectionGate = DetectionGate()

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.package.head == "nms_free" and self.model.family != "yolo26":
            raise ValueError("package.head: nms_free needs model.family: yolo26")
        if self.package.second_look and self.package.head not in ("auto", "raw"):
            raise ValueError(f"package.second_look needs package.head: raw, not {self.package.head}")
        return self


def detection_config(config: TrainingConfig) -> DetectionConfig:
    """A configuration that is known to be a detector's, as one."""
    if not isinstance(config, DetectionConfig):
        raise TypeError(f"{type(config).__name__} is no detector's configuration")
    return config
