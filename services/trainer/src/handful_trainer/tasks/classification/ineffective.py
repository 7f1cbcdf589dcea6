"""Which settings of a classifier's training do nothing, and when."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from handful_trainer.config.ineffective import EVERY_TASK, Ineffective

if TYPE_CHECKING:
    from handful_trainer.dataset.prepared import PreparedDataset
    from handful_trainer.tasks.classification.settings import ClassificationConfig


def _balanced(_: ClassificationConfig, dataset: PreparedDataset | None) -> bool:
    """Is it known that all classes have the same number of training images?"""
    if dataset is None or not dataset.split_sizes.get("train"):
        return False
    return len(set(Counter(class_id for _, class_id in dataset.split("train")).values())) == 1


def _whole(config: ClassificationConfig) -> int:
    """Epochs that train all that is trained."""
    return config.training.epochs - config.training.head_alone


CLASSIFICATION = (
    *EVERY_TASK,
    Ineffective(
        settings=("training.warmup_epochs",),
        by=("training.epochs", "training.head_epochs"),
        when=lambda c, _: _whole(c) == 1,
        because="one epoch trains the whole network, and the last epoch is no warm-up",
        instead="train for longer, or leave it out",
        level="warn",
        anyway=(0,),
    ),
    Ineffective(
        settings=("training.warmup_epochs",),
        by=("training.warmup_epochs", "training.epochs", "training.head_epochs"),
        when=lambda c, _: 1 < _whole(c) < c.training.warmup_epochs + 1,
        because="training.epochs is {config.training.epochs}, and neither training.head_epochs nor the last epoch are "
        "a warm-up",
        instead="train for longer, or lower it",
        level="warn",
        verb="is cut short",
    ),
    Ineffective(
        settings=("training.head_epochs",),
        by=("model.pretrained",),
        when=lambda c, _: not c.model.pretrained,
        because="model.pretrained is false: a network that knows nothing has nothing to keep",
        instead="leave it out, or begin with weights",
        verb="does no good",
        anyway=(0,),
    ),
    Ineffective(
        settings=("training.workers",),
        by=("training.device",),
        when=lambda c, _: c.training.device in ("cpu", "mps"),
        because="training.device is {config.training.device}, on which the training loads its images itself",
        instead="leave it out",
        level="warn",
        anyway=(0,),
    ),
    Ineffective(
        settings=("training.height",),
        by=("training.imgsz", "training.height"),
        when=lambda c, _: c.training.height == c.training.imgsz,
        because="it is training.imgsz, as without it",
        instead="leave it out",
        level="warn",
    ),
    Ineffective(
        settings=("training.balance",),
        by=("training.balance",),
        when=_balanced,
        because="all classes have the same number of training images",
        instead="leave it out",
        level="warn",
        anyway=(False,),
    ),
    Ineffective(
        settings=("dataset.counts",),
        by=(),
        when=lambda *_: True,
        because="a classifier counts nothing",
        instead="leave it out",
        level="warn",
    ),
    Ineffective(
        settings=("dataset.polygons", "dataset.label_rows"),
        by=(),
        when=lambda *_: True,
        because="a classifier's labels are those of whole images",
        instead="leave it out",
        level="warn",
    ),
)
"""What holds for a classifier's training."""
