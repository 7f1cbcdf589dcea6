"""A second look at half the size, for objects that fill the picture.

A network that learnt from photos with several small objects misses one that fills the photo. At half the size that
object is as large as those it knows. Both looks are part of the exported graph, so serving needs to know nothing.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d, pad
from ultralytics.nn.tasks import DetectionModel

LARGE = 0.5
"""Share of the input's side: what is found at half the size counts if its longer side is at least so long."""
_MARGIN = 0.05
"""Share of the input's side that the second look adds on each side: an object at the edge needs surroundings."""
_STRIDE = 32
"""Sides of what the network sees are multiples of this."""
_GREY = 114 / 255
"""What letterboxed images are filled up with."""


class TwoLooks(DetectionModel):  # type: ignore[misc]  # Ultralytics has no types.
    """A detector whose candidates come from the image and, where they are large, from the image at half the size."""

    def _predict_once(self, x: Tensor, *args: Any, **kwargs: Any) -> Any:
        first = super()._predict_once(x, *args, **kwargs)
        if self.training or kwargs.get("embed"):
            return first
        height, width = x.shape[-2:]
        down, right = _margin(height), _margin(width)
        half = pad(avg_pool2d(x, 2), [right, right, down, down], value=_GREY)
        second = _in_first(_candidates(super()._predict_once(half)), (right, down), max(height, width))
        both = torch.cat([_candidates(first), second], dim=-1)
        return (both, first[1]) if isinstance(first, tuple) else both


def look_twice(network: DetectionModel) -> None:
    """Give a network its second look. Its weights stay as they are."""
    network.__class__ = TwoLooks


def _candidates(output: Tensor | tuple[Tensor, Any]) -> Tensor:
    """(b, 4 + classes, anchors) of what a raw head gives: beside its own feature maps, unless it is exported."""
    return output[0] if isinstance(output, tuple) else output


def _margin(side: int) -> int:
    """Pixels on each side that bring half of `side` to at least `1 / 2 + 2 * _MARGIN` of it, and to the stride."""
    wanted = side * (0.5 + 2 * _MARGIN)
    return int((-(-wanted // _STRIDE) * _STRIDE - side // 2) // 2)


def _in_first(candidates: Tensor, margin: tuple[int, int], side: int) -> Tensor:
    """Candidates of the second look in pixels of the first; those that are not large score 0.

    Args:
        candidates: (b, 4 + classes, anchors)
        margin: right and down.
        side: the longer one of the first look.
    """
    centre, size, scores = candidates[:, :2], candidates[:, 2:4], candidates[:, 4:]
    large = size.amax(dim=1, keepdim=True) * 2 >= LARGE * side
    shift = centre.new_tensor(margin).view(1, 2, 1)
    return torch.cat([(centre - shift) * 2, size * 2, scores * large], dim=1)
