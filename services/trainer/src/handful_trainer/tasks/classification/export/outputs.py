"""The network as it is exported: besides its logits it says what its last layer sees, and where it sees each class."""

from __future__ import annotations

from typing import Any, cast

import torch
from torch import Tensor, nn

from handful_core.package import ClassMaps, ExtraOutput
from handful_trainer.tasks.classification.network import Network

EMBEDDING, CLASS_MAPS = "embedding", "class_maps"
_TOLERANCE = 1e-3
"""Logits that differ by less are the same."""


class ExportedClassifier(nn.Module):
    """A network of timm's with up to two more outputs.

    Args:
        module: a network of timm's, with its weights.
        network: what it is.
    """

    def __init__(self, module: nn.Module, network: Network) -> None:
        super().__init__()
        self.module = cast("Any", module.eval())
        example = torch.randn(2, 3, network.height, network.width, generator=torch.Generator().manual_seed(0))
        with torch.inference_mode():
            features = self.module.forward_features(example)
            embedding = self._embedding(features)
            grid = self._grid_of(features, embedding.shape[-1])
            flat = embedding.ndim == 2
            self.embedding = ExtraOutput(name=EMBEDDING, shape=(1, embedding.shape[-1])) if flat else None
            self._grid = grid or (0, 0)
            self.class_maps = self._described(features) if grid and flat else None

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """(n, 3, height, width) becomes logits (n, classes), embedding (n, d), maps (n, classes, rows, columns)."""
        features = self.module.forward_features(images)
        outputs = [self.module.forward_head(features)]
        if self.embedding:
            outputs.append(self._embedding(features))
        if self.class_maps:
            outputs.append(self._maps(features))
        return tuple(outputs)

    @property
    def names(self) -> list[str]:
        """Of the outputs beside the logits, in their order."""
        return [extra.name for extra in (self.embedding, self.class_maps) if extra]

    def _embedding(self, features: Tensor) -> Tensor:
        pooled: Tensor = self.module.forward_head(features, pre_logits=True)
        return pooled

    def _grid_of(self, features: Tensor, width: int) -> tuple[int, int] | None:
        """Rows and columns of the places that the last layer's input is pooled from.

        None where there are none, or where more than pooling lies between: asking that of each place would cost too
        much.
        """
        if features.ndim == 3:  # Tokens of a vision transformer, the class token first.
            patches = getattr(self.module, "patch_embed", None)
            grid = getattr(patches, "grid_size", None)
            places = features.shape[1] - self._prefix
            return (grid[0], grid[1]) if grid and grid[0] * grid[1] == places and features.shape[2] == width else None
        if features.ndim != 4:
            return None
        rows, columns, channels = features.shape[1:] if self._last else (*features.shape[2:], features.shape[1])
        return (rows, columns) if channels == width else None

    @property
    def _last(self) -> bool:
        """Are the channels the last dimension?"""
        return getattr(self.module, "output_fmt", "NCHW") == "NHWC"

    @property
    def _prefix(self) -> int:
        """Tokens that are no patches."""
        return int(getattr(self.module, "num_prefix_tokens", 0))

    def _maps(self, features: Tensor) -> Tensor:
        """The head, asked of each place alone."""
        rows, columns = self._grid
        if features.ndim == 3:
            patches = features[:, self._prefix :].flatten(0, 1)
            alone = patches[:, None].expand(-1, self._prefix + 1, -1)
        elif self._last:
            alone = features.flatten(0, 2)[:, None, None]
        else:
            alone = features.permute(0, 2, 3, 1).flatten(0, 2)[..., None, None]
        logits: Tensor = self.module.forward_head(alone)
        return logits.reshape(features.shape[0], rows, columns, -1).permute(0, 3, 1, 2)

    def _described(self, features: Tensor) -> ClassMaps | None:
        """The maps, and whether they explain the logits to the last; None where they have another shape."""
        maps, logits = self._maps(features), self.module.forward_head(features)
        if maps.shape[1] != logits.shape[1]:
            return None
        rest = logits - maps.mean(dim=(2, 3))
        exact = bool((rest - rest.mean(dim=0)).abs().max() < _TOLERANCE)
        return ClassMaps(name=CLASS_MAPS, shape=(1, *maps.shape[1:]), exact=exact)
