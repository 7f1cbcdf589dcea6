"""Which settings of a detector's training do nothing, and when: read off Ultralytics 8.4.190.

`tests/unit/trainer/test_ineffective_weights.py` trains a small network with and without each setting, and holds the
table to what comes of it.
"""

from __future__ import annotations

import math
import re
from pathlib import PurePath
from typing import TYPE_CHECKING

from handful_trainer.config.ineffective import EVERY_TASK, Ineffective, one_class

if TYPE_CHECKING:
    from handful_trainer.dataset.prepared import PreparedDataset
    from handful_trainer.tasks.detection.settings import DetectionConfig

_ADAPTIVE = {"Adam", "Adamax", "AdamW", "NAdam", "RAdam"}
"""Optimizers whose momentum is a beta: the warm-up does not touch it."""
_AUTO_STEPS = 10_000
"""With more steps of the optimizer `auto` takes MuSGD, else AdamW (`BaseTrainer.build_optimizer`)."""
_AUTO_KEEPS = ("training.epochs", "training.batch", "training.nbs", "training.fraction")
"""What decides, with the number of images, how many steps there are."""
_ULTRALYTICS_WEIGHTS = re.compile(r"yolo\d+([nsmlx])\.pt")
_AS_WIDE = {"m", "l"}
"""Of one width: seven tenths of the weights of m fit into l, nine tenths the other way round."""


def _auto(config: DetectionConfig, _: PreparedDataset | None) -> bool:
    return config.training.optimizer == "auto"


def _auto_takes_adamw(config: DetectionConfig, dataset: PreparedDataset | None) -> bool:
    """Is it known that `auto` takes AdamW?"""
    training = config.training
    if training.optimizer != "auto" or dataset is None:
        return False
    images = max(1, round(dataset.split_sizes.get("train", 0) * training.fraction))
    return math.ceil(images / max(training.batch, training.nbs)) * training.epochs <= _AUTO_STEPS


def _no_warmup(config: DetectionConfig, _: PreparedDataset | None) -> bool:
    return config.training.warmup_epochs == 0


def _rectangular(config: DetectionConfig, _: PreparedDataset | None) -> bool:
    return config.training.rect and not _several_devices(config, None)


def _several_devices(config: DetectionConfig, _: PreparedDataset | None) -> bool:
    device = config.training.device
    return len(device) > 1 if isinstance(device, list) else "," in str(device)


def _mosaic_closed_at_once(config: DetectionConfig, _: PreparedDataset | None) -> bool:
    return config.augmentation.close_mosaic >= config.training.epochs


def _nothing_to_close(config: DetectionConfig, _: PreparedDataset | None) -> bool:
    augmentation = config.augmentation
    return _rectangular(config, None) or not (augmentation.mosaic or augmentation.mixup or augmentation.cutmix)


def _weights_of_another_size(config: DetectionConfig, _: PreparedDataset | None) -> bool:
    named = _ULTRALYTICS_WEIGHTS.fullmatch(PurePath(str(config.model.pretrained)).name)
    return named is not None and named[1] != config.model.size and {named[1], config.model.size} != _AS_WIDE


def _suppressed_by_the_head_alone(config: DetectionConfig, dataset: PreparedDataset | None) -> bool:
    agnostic = config.package.class_agnostic
    if agnostic == "auto":
        agnostic = dataset is None or bool(dataset.counts)
    return config.package.head == "nms_free" and not agnostic


DETECTION = (
    *EVERY_TASK,
    Ineffective(
        settings=("training.lr0",),
        by=("training.optimizer",),
        when=_auto,
        because="training.optimizer is auto, which sets the learning rate itself",
        instead="name an optimizer, such as AdamW, or leave it out",
    ),
    Ineffective(
        settings=("training.warmup_bias_lr",),
        by=("training.optimizer",),
        when=_auto,
        because="training.optimizer is auto, which begins the warm-up of biases at 0",
        instead="name an optimizer, such as AdamW, or leave it out",
        anyway=(0,),
    ),
    Ineffective(
        settings=("training.momentum", "training.warmup_momentum"),
        by=("training.optimizer", *_AUTO_KEEPS),
        when=_auto_takes_adamw,
        because=f"training.optimizer is auto, which takes AdamW and a momentum of 0.9 up to {_AUTO_STEPS:,} steps",
        instead="name an optimizer, such as SGD, or leave it out",
        anyway=(0.9,),
    ),
    Ineffective(
        settings=("training.momentum",),
        by=("training.optimizer", "training.warmup_epochs"),
        when=lambda c, d: _auto(c, d) and _no_warmup(c, d),
        because="training.optimizer is auto, which sets the momentum itself, and there is no warm-up to change it",
        instead="name an optimizer, such as SGD, or leave it out",
        anyway=(0.9,),
    ),
    Ineffective(
        settings=("training.warmup_momentum",),
        by=("training.optimizer",),
        when=lambda c, _: c.training.optimizer in _ADAPTIVE,
        because="{config.training.optimizer} has betas, which the warm-up leaves alone",
        instead="leave it out, or take SGD, MuSGD or RMSProp",
    ),
    Ineffective(
        settings=("training.warmup_momentum", "training.warmup_bias_lr"),
        by=("training.warmup_epochs",),
        when=_no_warmup,
        because="training.warmup_epochs is 0",
        instead="let it warm up, or leave it out",
    ),
    Ineffective(
        settings=(
            *("training.warmup_epochs", "training.warmup_momentum", "training.warmup_bias_lr"),
            *("training.lrf", "training.cos_lr"),
        ),
        by=("training.epochs",),
        when=lambda c, _: c.training.epochs == 1,
        because="training.epochs is 1: the only epoch is trained at the full learning rate",
        instead="train for longer, or leave it out",
        level="warn",
        anyway=(0,),
    ),
    Ineffective(
        settings=("training.warmup_epochs",),
        by=("training.warmup_epochs", "training.epochs", "training.max_time_hours"),
        when=lambda c, _: 1 < c.training.epochs < c.training.warmup_epochs + 1 and c.training.max_time_hours is None,
        because="training.epochs is {config.training.epochs}, and the last epoch is no warm-up",
        instead="train for longer, or lower it",
        level="warn",
        verb="is cut short",
    ),
    Ineffective(
        settings=("training.cos_lr",),
        by=("training.epochs", "training.max_time_hours"),
        when=lambda c, _: c.training.epochs == 2 and c.training.max_time_hours is None,
        because="training.epochs is 2, between which line and cosine are the same",
        instead="train for longer, or leave it out",
        level="warn",
    ),
    Ineffective(
        settings=("training.cos_lr",),
        by=("training.lrf",),
        when=lambda c, _: c.training.lrf == 1,
        because="training.lrf is 1: the learning rate never falls",
        instead="set training.lrf below 1, or leave it out",
    ),
    Ineffective(
        settings=("augmentation.mosaic", "augmentation.mixup", "augmentation.cutmix"),
        by=("augmentation.close_mosaic", "training.epochs"),
        when=_mosaic_closed_at_once,
        because="augmentation.close_mosaic is {config.augmentation.close_mosaic}, so many last epochs go without, and "
        "training.epochs is {config.training.epochs}",
        instead="set augmentation.close_mosaic below training.epochs (0: never without), or leave it out",
        anyway=(0,),
    ),
    Ineffective(
        settings=("augmentation.mosaic", "augmentation.mixup", "augmentation.cutmix"),
        by=("training.rect", "training.device"),
        when=_rectangular,
        because="training.rect is true, and rectangular batches put no images together",
        instead="leave out one of them",
        anyway=(0,),
    ),
    Ineffective(
        settings=("augmentation.close_mosaic",),
        by=("augmentation.mosaic", "augmentation.mixup", "augmentation.cutmix", "training.rect", "training.device"),
        when=_nothing_to_close,
        because="no image is put together with others at any time",
        instead="leave it out",
        level="warn",
    ),
    Ineffective(
        settings=("augmentation.erasing",),
        by=(),
        when=lambda *_: True,
        because="Ultralytics erases patches for classifiers only",
        instead="leave it out",
        anyway=(0,),
    ),
    Ineffective(
        settings=("training.cls_pw",),
        by=("training.single_cls", "dataset.classes"),
        when=lambda c, d: c.training.single_cls or one_class(c, d),
        because="there is one class alone, and nothing to weigh it against",
        instead="leave it out",
    ),
    Ineffective(
        settings=("training.rect",),
        by=("training.device",),
        when=_several_devices,
        because="Ultralytics has no rectangular batches on several devices",
        instead="train on one, or leave it out",
    ),
    Ineffective(
        settings=("training.workers", "training.amp"),
        by=("training.device",),
        when=lambda c, _: c.training.device in ("cpu", "mps"),
        because="training.device is {config.training.device}, on which one process loads images in full precision",
        instead="leave it out",
        level="warn",
        anyway=(0,),
    ),
    Ineffective(
        settings=("training.nbs",),
        by=("training.batch", "training.nbs", "training.weight_decay", "training.optimizer"),
        when=lambda c, d: (
            round(c.training.nbs / c.training.batch) <= 1 and c.training.weight_decay == 0 and not _auto(c, d)
        ),
        because="each batch is a step of its own already, and there is no weight decay to be scaled by it",
        instead="leave it out",
        level="warn",
    ),
    Ineffective(
        settings=("model.pretrained",),
        by=("model.pretrained", "model.size"),
        when=_weights_of_another_size,
        because="the network is {config.model.architecture}, into which few of the weights of "
        "{config.model.pretrained} fit",
        instead="name weights of the same size, change model.size, or set it to false",
        verb="does next to nothing",
    ),
    Ineffective(
        settings=("package.iou",),
        by=("package.head", "package.class_agnostic"),
        when=_suppressed_by_the_head_alone,
        because="package.head is nms_free, which puts one box on one object by itself, class by class",
        instead="set package.class_agnostic: true, or leave it out",
    ),
    Ineffective(
        settings=("package.class_agnostic",),
        by=("dataset.classes", "package.head"),
        when=lambda c, d: one_class(c, d) and c.package.head != "nms_free",
        because="there is one class alone",
        instead="leave it out",
        level="warn",
        anyway=(False, "auto"),
    ),
)
"""What holds for a detector's training."""
