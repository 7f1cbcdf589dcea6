"""The images of a dataset, as a network is trained and validated on them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple, TypeVar

import lightning
import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

from handful_core.errors import ConfigError
from handful_core.runtime.cpus import available_cpus
from handful_core.vision.decode import decode_image
from handful_core.vision.preprocess import to_input
from handful_trainer.dataset.prepared import PreparedDataset
from handful_trainer.tasks.classification.data.augmentation import varied
from handful_trainer.tasks.classification.network import Network
from handful_trainer.tasks.classification.settings import ClassificationAugmentation, ClassificationConfig

Samples = Sequence[tuple[Path, int]]
"""Images with their class ids."""
_T = TypeVar("_T")
_ROOM = 1.25
"""So much larger than the network's input is what a crop is cut from, so that it keeps its details."""


class ServedImages(Dataset[tuple[Tensor, int]]):
    """Images as serving prepares them, by its own code: what is measured on them is what is served."""

    def __init__(self, samples: Samples, network: Network) -> None:
        self._samples, self._input = samples, network.input

    def __len__(self) -> int:
        return len(self._samples)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        path, class_id = self._samples[index]
        planes, _ = to_input(decode_image(path.read_bytes()), self._input)
        return torch.from_numpy(planes[0]), class_id


class VariedImages(Dataset[tuple[Tensor, int]]):
    """Images for training, another way for each draw: whichever process loads them, and when."""

    def __init__(self, samples: Samples, network: Network, augmentation: ClassificationAugmentation) -> None:
        room = _ROOM if augmentation.crop < 1 else 1.0
        size = {"width": round(network.width * room), "height": round(network.height * room)}
        # The same way to the network's shape as in serving, but in whole numbers from 0 to 255.
        self._input = network.input.model_copy(update={**size, "scale": 1.0, "mean": (0.0,) * 3, "std": (1.0,) * 3})
        self._samples, self._vary = samples, varied(network, augmentation)

    def __len__(self) -> int:
        return len(self._samples)

    def __getitem__(self, drawn: tuple[int, int]) -> tuple[Tensor, int]:
        index, seed = drawn
        path, class_id = self._samples[index]
        planes, _ = to_input(decode_image(path.read_bytes()), self._input)
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(seed)
            return self._vary(torch.from_numpy(planes[0].astype(np.uint8))), class_id


class Share(NamedTuple):
    """What one of several processes takes of every batch, and of the validation images."""

    rank: int = 0
    of: int = 1

    def part(self, whole: Sequence[_T]) -> Sequence[_T]:
        """Its part: of all processes the same number, but for the last of a sequence."""
        return whole[self.rank :: self.of]

    @staticmethod
    def joined(parts: Sequence[Tensor]) -> Tensor:
        """The whole, from the parts of all processes: (n, ...)."""
        whole = parts[0].new_empty((sum(map(len, parts)), *parts[0].shape[1:]))
        for rank, part in enumerate(parts):
            whole[rank :: len(parts)] = part
        return whole


ALL = Share()
"""Of a single process."""


class EpochSampler(Sampler[tuple[int, int]]):
    """The images of each epoch, and a seed for each: from seed and epoch alone, so that a training can go on.

    Args:
        images: how many there are.
        seed: of the whole training.
        weights: how often an image is drawn, with replacement, as a share of all; none for each just once.
        batch: images of a step, of all processes together.
        share: this process's part of each batch.
    """

    def __init__(
        self, images: int, seed: int, weights: Tensor | None = None, batch: int = 1, share: Share = ALL
    ) -> None:
        self._images, self._seed, self._weights, self._epoch = images, seed, weights, 0
        self._batch, self._share = batch, share

    def set_epoch(self, epoch: int) -> None:
        """Lightning says so before each."""
        self._epoch = epoch

    def __len__(self) -> int:
        whole, rest = divmod(self._images, self._batch)
        return (whole * self._batch) // self._share.of + rest // self._share.of

    def __iter__(self) -> Iterator[tuple[int, int]]:
        chance = torch.Generator().manual_seed(seed_at(self._seed, self._epoch))
        if self._weights is None:
            order = torch.randperm(self._images, generator=chance)
        else:
            order = torch.multinomial(self._weights, self._images, replacement=True, generator=chance)
        seeds = torch.randint(2**63 - 1, (self._images,), generator=chance)
        draws = list(zip(order.tolist(), seeds.tolist(), strict=True))
        for begin in range(0, self._images, self._batch):
            batch = draws[begin : begin + self._batch]
            yield from self._share.part(batch[: len(batch) - len(batch) % self._share.of])


def seed_at(seed: int, *place: int) -> int:
    """A seed for an epoch, or a batch of one, of a training with a seed."""
    return int(np.random.SeedSequence([seed, *place]).generate_state(1)[0])


class ClassFolders(lightning.LightningDataModule):
    """A prepared dataset's training and validation images.

    Args:
        dataset: images in folders by class.
        network: what they are prepared for.
        config: batch, augmentation, sampling.
        workers: processes that load images; 0 to load them here.
        share: this process's part of the images.

    Raises:
        ConfigError: there are too few images for so many devices.
    """

    def __init__(
        self,
        dataset: PreparedDataset,
        network: Network,
        config: ClassificationConfig,
        workers: int,
        share: Share = ALL,
    ) -> None:
        super().__init__()
        self._share = share
        self.train, self.val = list(dataset.split("train")), list(dataset.split("val"))
        self._network, self._config, self._workers = network, config, workers
        if min(len(self.train) // 2, len(self.val)) < share.of:
            raise ConfigError(
                f"{len(self.train)} training and {len(self.val)} validation images are too few for {share.of} devices",
                "name one in training.device",
            )

    @property
    def class_weights(self) -> Tensor:
        """(classes,): how much an image of each counts so that all classes count alike; of mean 1 over the images."""
        counts = Counter(class_id for _, class_id in self.train)
        classes = len(self._network.classes)
        return torch.tensor([len(self.train) / (classes * counts[i]) for i in range(classes)])

    def train_dataloader(self) -> DataLoader[tuple[Tensor, int]]:
        """Varied images, in an order of their own each epoch; what is left over after whole batches waits."""
        settings = self._config.training
        weights = None
        if settings.balance == "sampling":
            weights = self.class_weights[torch.tensor([class_id for _, class_id in self.train])]
        return DataLoader(
            VariedImages(self.train, self._network, self._config.augmentation),
            settings.batch // self._share.of,
            sampler=EpochSampler(len(self.train), settings.seed, weights, settings.batch, self._share),
            num_workers=self._workers,
            drop_last=len(self.train) > settings.batch,
        )

    def val_dataloader(self) -> DataLoader[tuple[Tensor, int]]:
        """Images as they are served."""
        images = ServedImages(self._share.part(self.val), self._network)
        return DataLoader(images, self._config.training.batch // self._share.of, num_workers=self._workers)


def loading_processes(config: ClassificationConfig, accelerator: str, ranks: int = 1) -> int:
    """How many processes load images: none beside a training on processors, which needs them all."""
    return 0 if accelerator in {"cpu", "mps"} else min(config.training.workers, max(1, available_cpus() // ranks))
