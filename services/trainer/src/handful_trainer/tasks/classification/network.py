"""Networks of timm's, what they see, and their weights as files: tensors alone, never code."""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, Self

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import nn

from handful_core.errors import ConfigError, DataError
from handful_core.files import write_atomically
from handful_core.package import Input
from handful_trainer.tasks.classification.settings import ClassificationConfig

_KEY = "handful"
"""Where a file of weights says what network they belong to."""


@dataclass(frozen=True, slots=True)
class Network:
    """What a network is, so that its weights fit: it travels with them."""

    architecture: str
    """timm's name."""
    classes: tuple[str, ...]
    width: int
    height: int
    resize: Literal["stretch", "crop", "letterbox"]
    mean: tuple[float, float, float]
    std: tuple[float, float, float]

    @classmethod
    def of(cls, config: ClassificationConfig, classes: tuple[str, ...]) -> Self:
        """As a configuration has it; colours are normalised as timm's weights for the network want it."""
        from timm.models import get_pretrained_cfg, is_model_pretrained

        architecture, weights = config.model.architecture, str(config.model.pretrained)
        check_architecture(architecture)
        named = weights.partition(".")[0] == architecture and is_model_pretrained(weights)
        wanted = get_pretrained_cfg(weights if named else architecture)
        width, height = config.training.size
        mean, std = (wanted.mean, wanted.std) if wanted else ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))
        return cls(architecture, classes, width, height, config.training.resize, mean, std)

    @property
    def input(self) -> Input:
        """How images are prepared, in training, in validation and in serving."""
        return Input(width=self.width, height=self.height, resize=self.resize, mean=self.mean, std=self.std)

    def build(self, name: str = "", file: Path | None = None, left_out: Mapping[str, float] | None = None) -> nn.Module:
        """The network, untrained or with timm's own weights but for the last layer.

        Args:
            name: timm's, of the weights.
            file: that holds them.
            left_out: rates of what it does without while it learns: timm's drop_rate and drop_path_rate.

        Raises:
            ConfigError: it cannot be built for this size of image.
        """
        import timm
        from timm.models import get_pretrained_cfg

        known = get_pretrained_cfg(self.architecture)
        # These networks know where each patch lies.
        sized: dict[str, Any] = {"img_size": (self.height, self.width)} if known and known.fixed_input_size else {}
        try:
            network: nn.Module = timm.create_model(
                name or self.architecture,
                pretrained=file is not None,
                pretrained_cfg_overlay={"file": str(file)} if file else None,
                num_classes=len(self.classes),
                **sized,
                **(left_out or {}),
            )
            skips = _skips_blocks(network.eval(), torch.zeros(1, 3, self.height, self.width))
        except (AssertionError, ValueError, TypeError, RuntimeError) as error:
            if isinstance(error, RuntimeError) and "memory" in str(error):
                raise
            line = (str(error).splitlines() or [type(error).__name__])[0]
            if isinstance(error, TypeError) and "drop_path_rate" in line:
                raise _skips_nothing(self.architecture) from error
            raise ConfigError(
                f"{self.architecture} cannot be built for {self.width} by {self.height} pixels ({line})",
                "change training.imgsz (vision transformers want a multiple of their patch), or model.architecture",
            ) from error
        if left_out and "drop_path_rate" in left_out and not skips:
            raise _skips_nothing(self.architecture)
        _begin_head(network)
        return network.train()


def _skips_blocks(network: nn.Module, image: torch.Tensor) -> bool:
    """Run a network; whether it comes by a place where a training may skip a block."""
    from timm.layers import DropPath

    found: list[bool] = []
    places = [part for part in network.modules() if isinstance(part, DropPath)]
    hooks = [part.register_forward_hook(lambda *_: found.append(True)) for part in places]
    with torch.inference_mode():
        network(image)
    for hook in hooks:
        hook.remove()
    return bool(found)


def _skips_nothing(architecture: str) -> ConfigError:
    return ConfigError(f"{architecture} has no block that training.drop_path could skip", "leave it out")


def head_layers(network: Any) -> list[nn.Linear]:
    """The last layer of a network of timm's, which says the classes; distilled ones have two."""
    found = network.get_classifier()
    parts = found if isinstance(found, tuple | list) else (found,)
    return [layer for part in parts for layer in part.modules() if isinstance(layer, nn.Linear)]


def train_last_layer_alone(network: nn.Module, alone: bool, trained: Iterable[nn.Parameter]) -> None:
    """Let all but the last layer answer as they do when they are served, and stay as they are; or end that.

    Args:
        network: of timm's.
        alone: do so; else all of it is trained.
        trained: the parameters that are trained in the end.
    """
    network.train(not alone)
    layers = head_layers(network)
    for parameter in trained:
        parameter.requires_grad_(not alone)
    for layer in layers:
        layer.train().requires_grad_(True)


def _begin_head(network: nn.Module) -> None:
    """Let an untrained last layer find all classes alike: timm's EfficientNets begin with a loss of 6 for three."""
    for layer in head_layers(network):
        nn.init.normal_(layer.weight, std=0.01)
        nn.init.zeros_(layer.bias)


def check_architecture(name: str) -> None:
    """Refuse a name that timm does not know.

    Raises:
        ConfigError: the nearest that it does know is named.
    """
    import timm

    if timm.is_model(name):
        return
    near = difflib.get_close_matches(name, timm.list_models(), n=1, cutoff=0.6)
    hint = f"did you mean {near[0]}?" if near else "see timm.list_models()"
    raise ConfigError(f"model.architecture: timm has no network {name}", hint)


def write_weights(module: nn.Module, network: Network, path: Path) -> None:
    """Write weights in one step, with what network they belong to."""
    tensors = {key: tensor.detach().cpu().contiguous() for key, tensor in module.state_dict().items()}
    write_atomically(path, save(tensors, metadata={_KEY: json.dumps(asdict(network))}), durable=True)


def read_weights(path: Path) -> tuple[nn.Module, Network]:
    """A network with the weights that `write_weights` wrote, ready to answer.

    Raises:
        DataError: the file holds something else.
    """
    try:
        with safe_open(path, framework="pt") as file:
            content = json.loads((file.metadata() or {})[_KEY])
            tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118  # It is no mapping.
        content |= {key: tuple(content[key]) for key in ("classes", "mean", "std")}
        network = Network(**content)
    except (SafetensorError, KeyError, ValueError, TypeError) as error:
        raise DataError(f"{path} holds no weights of a classifier ({error})", "train the model again") from error
    module = network.build()
    module.load_state_dict(tensors)
    return module.eval(), network
