"""How a training image is varied, so that a network learns what the pictures have in common."""

from __future__ import annotations

import cv2
import numpy as np
import torch
from torch import Tensor, nn
from torchvision.transforms import v2

from handful_trainer.tasks.classification.network import Network
from handful_trainer.tasks.classification.settings import ClassificationAugmentation


class ReflectedRotation(nn.Module):
    """Turns an image about its centre. Its corners show its own reflection.

    torchvision fills them with one colour, which no served image has there. It also takes twice the time.

    Args:
        degrees: the most, both ways.
    """

    def __init__(self, degrees: float) -> None:
        super().__init__()
        self._degrees = degrees

    def forward(self, image: Tensor) -> Tensor:
        """(3, height, width) uint8, in the shape that it has."""
        angle = float(torch.empty(1).uniform_(-self._degrees, self._degrees))
        pixels = np.ascontiguousarray(image.permute(1, 2, 0).numpy())
        height, width = pixels.shape[:2]
        matrix = cv2.getRotationMatrix2D(((width - 1) / 2, (height - 1) / 2), angle, 1)
        turned = cv2.warpAffine(pixels, matrix, (width, height), borderMode=cv2.BORDER_REFLECT_101)
        return torch.from_numpy(turned).permute(2, 0, 1)


def varied(network: Network, augmentation: ClassificationAugmentation) -> v2.Compose:
    """What happens to a training image: (3, height, width) uint8 becomes what the network sees."""
    a, size = augmentation, (network.height, network.width)
    colour = (a.brightness, a.contrast, a.saturation, a.hue)
    aspect = network.width / network.height
    steps = [
        ReflectedRotation(a.degrees) if a.degrees else None,
        v2.RandomResizedCrop(size, (a.crop, 1.0), (aspect * 3 / 4, aspect * 4 / 3)) if a.crop < 1 else None,
        v2.RandomHorizontalFlip(a.fliplr) if a.fliplr else None,
        v2.RandomVerticalFlip(a.flipud) if a.flipud else None,
        v2.ColorJitter(*colour) if any(colour) else None,
        v2.TrivialAugmentWide(fill=network.input.pad) if a.trivial else None,
        v2.ToDtype(torch.float32, scale=True),
        v2.Normalize(network.mean, network.std),
        v2.RandomErasing(a.erasing) if a.erasing else None,
    ]
    return v2.Compose([step for step in steps if step is not None])
