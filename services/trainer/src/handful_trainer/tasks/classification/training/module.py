"""How a network learns from a batch, as Lightning wants it said."""

from __future__ import annotations

import math
from typing import Any

import lightning
import numpy as np
import torch
from timm.utils import ModelEmaV3
from torch import Tensor, nn
from torch.nn import functional
from torch.optim.lr_scheduler import LambdaLR
from torchvision.transforms import v2

from handful_core.errors import DataError
from handful_trainer.tasks.classification.data.datasets import ClassFolders, Share, seed_at
from handful_trainer.tasks.classification.evaluation.evaluate import Evaluation
from handful_trainer.tasks.classification.network import Network, train_last_layer_alone
from handful_trainer.tasks.classification.settings import ClassificationConfig
from handful_trainer.tasks.classification.training.ranks import gathered, share_statistics

_MOMENTUM = 0.9


class Classifier(lightning.LightningModule):
    """A network, its loss, its optimizer, and what is measured after each epoch.

    Args:
        module: the network with the weights that it begins with.
        network: what it is.
        config: the training's settings.
        data: the images; their classes' sizes weigh the loss where that is wanted.
    """

    def __init__(self, module: nn.Module, network: Network, config: ClassificationConfig, data: ClassFolders) -> None:
        super().__init__()
        self.module, self.network, self._config, self._data = module, network, config, data
        self._trained = [parameter for parameter in module.parameters() if parameter.requires_grad]
        decay = config.training.ema
        self.average = ModelEmaV3(module, decay, use_warmup=True).requires_grad_(False) if decay else None
        """The weights' moving average: part of the checkpoint, like them."""
        weights = data.class_weights if config.training.balance == "weights" else None
        self.register_buffer("class_weights", weights, persistent=False)
        self._mix = mixing(config, len(network.classes))
        self._losses: list[Tensor] = []
        self._answers: list[Tensor] = []
        self.epoch_metrics: dict[str, float] = {}
        """Of the last epoch, once it is validated."""

    @property
    def kept(self) -> nn.Module:
        """What is validated, kept and served: the average of the weights, or the weights."""
        return self.average.module if self.average else self.module

    def forward(self, images: Tensor) -> Tensor:
        """(n, 3, height, width) normalised becomes (n, classes) logits."""
        return _logits(self.module, images)

    def on_train_epoch_start(self) -> None:
        """Forget the losses of the epoch before, and see how much of the network is trained in this one."""
        self._losses.clear()
        alone = self.current_epoch < self._config.training.head_epochs
        train_last_layer_alone(self.module, alone, self._trained)

    def training_step(self, batch: tuple[Tensor, Tensor], number: int) -> Tensor:
        """The loss of a batch. What chance does to it is the same in a training that was resumed."""
        torch.manual_seed(seed_at(self._config.training.seed, self.current_epoch, number))
        images, truth = self._mix(*batch) if self._mix else batch
        loss = self.loss(self(images), truth)
        self._losses.append(loss.detach())
        return loss

    def on_train_batch_end(self, *_: object) -> None:
        """Let the average follow."""
        if self.average:
            self.average.update(self.module, self.trainer.global_step)

    def loss(self, logits: Tensor, truth: Tensor) -> Tensor:
        """Cross entropy; the truth is class ids, (n,), or shares of classes, (n, classes)."""
        smoothing = self._config.training.label_smoothing
        weights: Tensor | None = self.class_weights
        return functional.cross_entropy(logits, truth, weights, label_smoothing=smoothing)

    def on_validation_epoch_start(self) -> None:
        """Forget the answers of the epoch before."""
        self._answers.clear()
        share_statistics(self.kept)

    def validation_step(self, batch: tuple[Tensor, Tensor], _: int) -> None:
        """Keep what it answers."""
        self._answers.append(_logits(self.kept, batch[0]).float().cpu())

    def on_validation_epoch_end(self) -> None:
        """Measure the answers of all processes, by the same code as a package's.

        Lightning validates as the last thing of an epoch.

        Raises:
            DataError: the loss is NaN or infinite.
        """
        losses, answers = zip(*gathered((torch.stack(self._losses).cpu(), torch.cat(self._answers))), strict=True)
        trained = float(torch.stack(losses).mean())
        if not math.isfinite(trained):
            raise DataError("the loss is NaN or infinite", "lower training.lr, or look at the images")
        logits = Share.joined(answers)
        truth = torch.tensor([class_id for _, class_id in self._data.val[: len(logits)]])
        self.epoch_metrics = {
            "train/loss": trained,
            "lr": self.optimizers().param_groups[0]["lr"],
            "val/loss": float(functional.cross_entropy(logits, truth)),
            **{f"val/{name}": value for name, value in self._evaluation(logits, truth).metrics().items()},
        }

    def _evaluation(self, logits: Tensor, truth: Tensor) -> Evaluation:
        probabilities = logits.softmax(dim=1).numpy().astype(np.float32)
        paths = tuple(path for path, _ in self._data.val[: len(logits)])
        return Evaluation("val", self.network.classes, truth.numpy(), probabilities, paths)

    def configure_optimizers(self) -> Any:
        """timm's, which spares norms and biases the weight decay; the learning rate rises, then falls by a cosine."""
        from timm.optim import create_optimizer_v2

        settings = self._config.training
        optimizer = create_optimizer_v2(
            self.module, settings.optimizer.lower(), settings.lr, settings.weight_decay, _MOMENTUM
        )
        epoch = self.trainer.estimated_stepping_batches / settings.epochs
        steps, head = settings.epochs * epoch, settings.head_alone * epoch
        curve = learning_rate_curve(steps, settings.warmup_epochs * epoch, epoch, settings.lrf, head)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": LambdaLR(optimizer, curve), "interval": "step"}}


def _logits(network: nn.Module, images: Tensor) -> Tensor:
    logits: Tensor = network(images.contiguous(memory_format=torch.channels_last))
    return logits


def learning_rate_curve(steps: float, warm_up: float, epoch: float, last: float, head: float = 0) -> Any:
    """A function from a step to its share of the highest learning rate.

    Args:
        steps: of the training.
        warm_up: steps in which it rises; never any of the last epoch.
        epoch: steps of one.
        last: the share that it ends with.
        head: steps before, which train the last layer alone: at the highest rate.
    """
    rising = min(warm_up, steps - head - epoch)

    def share(step: int) -> float:
        if step < head:
            return 1.0
        if step - head < rising:
            return (step - head + 1) / (rising + 1)
        done = min(1.0, (step - head - rising) / max(1.0, steps - head - rising))
        return last + (1 - last) * (1 + math.cos(math.pi * done)) / 2

    return share


def mixing(config: ClassificationConfig, classes: int) -> v2.Transform | None:
    """What blends the images of a batch, if anything does."""
    settings = config.augmentation
    mixes: list[v2.Transform] = []
    if settings.mixup:
        mixes.append(v2.MixUp(alpha=settings.mixup, num_classes=classes))
    if settings.cutmix:
        mixes.append(v2.CutMix(alpha=settings.cutmix, num_classes=classes))
    return v2.RandomChoice(mixes) if len(mixes) > 1 else (mixes or [None])[0]
