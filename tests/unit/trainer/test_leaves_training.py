"""Training a classifier: what chance decides, what is kept, what ends it, and that every setting does something."""

from __future__ import annotations

import re
import signal
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import lightning
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from handful_core.errors import ConfigError, DataError, RefusedError, ResourceError
from handful_core.runtime.model import load_model
from handful_core.vision.decode import decode_image
from handful_core.vision.preprocess import to_input
from handful_trainer.dataset.prepared import PreparedDataset
from handful_trainer.packaging.build import build_package, check_parity
from handful_trainer.tasks.classification.data.datasets import ServedImages
from handful_trainer.tasks.classification.evaluation.evaluate import evaluate
from handful_trainer.tasks.classification.export.parity import compare_probabilities
from handful_trainer.tasks.classification.network import Network, read_weights, write_weights
from handful_trainer.tasks.classification.settings import ClassificationConfig
from handful_trainer.tasks.classification.task import LightningEngine
from handful_trainer.tasks.classification.training.epochs import out_of_patience
from handful_trainer.tasks.classification.training.module import Classifier, learning_rate_curve
from handful_trainer.tasks.classification.training.train import fit, prepared
from handful_trainer.tasks.torch_errors import translated_errors
from support.small_disk import fill, small_disk
from support.small_leaves import COLOURS, Watching, leaf_config, leaf_folder, leaf_job

ENGINE = LightningEngine()


@pytest.fixture(scope="module")
def leaves(tmp_path_factory: pytest.TempPathFactory) -> PreparedDataset:
    return leaf_folder(tmp_path_factory.mktemp("leaves") / "leaves")


def trained(folder: Path, dataset: PreparedDataset, config: ClassificationConfig, **how: Any) -> bytes:
    """The best weights of a training."""
    job = leaf_job(folder, dataset, config)
    return ENGINE.train(job, how.get("listener", Watching()), resume=how.get("resume", False)).read_bytes()


def test_a_listener_hears_all_and_the_best_epoch_stays(leaves: PreparedDataset, tmp_path: Path) -> None:
    listener = Watching()
    # From scratch, an epoch is seldom worse than the one before: these are, as the learning rate is far too high.
    config = leaf_config(training={"epochs": 4, "lr": 0.3, "lrf": 1, "warmup_epochs": 0})
    trained(tmp_path, leaves, config, listener=listener)
    params, batches, done = listener.begun
    assert (batches, done, listener.batches) == (12, 0, 12)
    assert (params["lightning.device"], params["lightning.precision"]) == ("cpu", "32-true")
    assert set(listener.epochs) == {1, 2, 3, 4}
    assert {"train/loss", "val/loss", "val/macro_f1", "val/accuracy", "lr", "epoch_seconds"} == set(listener.epochs[1])
    assert ENGINE.epochs_done(tmp_path) == 4
    assert {path.name for path in ENGINE.plots(tmp_path)} == {"results.csv", "results.png"}
    # What is kept answers as the best epoch did: measured again as a package is, by serving's code.
    job = leaf_job(tmp_path, leaves, config)
    package = build_package(job, ENGINE.best_weights(tmp_path)).package
    best = max(listener.epochs.values(), key=lambda epoch: (epoch["val/macro_f1"], -epoch["val/loss"]))
    again = evaluate(load_model(package), leaves, "val").metrics()
    assert again["macro_f1"] == best["val/macro_f1"]


def test_a_training_that_goes_on_ends_as_if_nothing_had_happened(leaves: PreparedDataset, tmp_path: Path) -> None:
    config = leaf_config(training={"epochs": 3}, augmentation={"trivial": True, "mixup": 0.2})
    whole, stopped, rest = Watching(), Watching(after=2), Watching()
    first = trained(tmp_path / "whole", leaves, config, listener=whole)
    with pytest.raises(Exception, match="training failed"):
        trained(tmp_path / "cut", leaves, config, listener=stopped)
    # The second epoch was ended before its checkpoint: it comes again.
    second = trained(tmp_path / "cut", leaves, config, listener=rest, resume=True)
    assert set(rest.epochs) == {2, 3}
    assert rest.begun[1:] == (9, 3)
    assert first == second
    seconds = "epoch_seconds"
    for number in (2, 3):
        assert {**rest.epochs[number], seconds: 0} == {**whole.epochs[number], seconds: 0}
    assert trained(tmp_path / "cut", leaves, config, listener=(idle := Watching()), resume=True) == second
    assert idle.epochs == {}, "it had ended"


def test_a_damaged_checkpoint_is_left_aside(
    leaves: PreparedDataset, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "lightning").mkdir()
    (tmp_path / "lightning" / "last.ckpt").write_bytes(b"PK\x03\x04 broken off")
    listener = Watching()
    trained(tmp_path, leaves, leaf_config(training={"epochs": 1}), listener=listener, resume=True)
    assert set(listener.epochs) == {1}
    assert "is damaged" in capsys.readouterr().err


def test_a_full_disk_leaves_the_last_checkpoint_whole(leaves: PreparedDataset, tmp_path: Path) -> None:
    config, whole = leaf_config(training={"epochs": 3}), tmp_path / "whole"
    trained(whole, leaves, config)
    with small_disk(tmp_path / "disk") as disk:

        class Filling(Watching):
            def epoch(self, number: int, metrics: Mapping[str, float]) -> None:
                super().epoch(number, metrics)
                if number == 2:  # Its checkpoint comes next.
                    fill(disk)

        with pytest.raises(ResourceError) as caught:
            trained(disk / "run", leaves, config, listener=Filling())
        assert str(caught.value) == "the disk is full: make room, then go on with handful train --resume"
        (disk / "ballast").unlink()
        rest = Watching()
        again = trained(disk / "run", leaves, config, listener=rest, resume=True)
        assert set(rest.epochs) == {2, 3}, "what the first epoch's checkpoint holds is not lost"
        assert again == ENGINE.best_weights(whole).read_bytes()
        left = {path.name for path in (disk / "run" / "lightning").iterdir()}
        assert left == {"best.safetensors", "last.ckpt", "results.csv", "results.png"}


@pytest.mark.parametrize("seed", [0, 7])
def test_the_same_seed_gives_the_same_weights(leaves: PreparedDataset, tmp_path: Path, seed: int) -> None:
    config = leaf_config(training={"epochs": 1, "seed": seed})
    assert trained(tmp_path / "a", leaves, config) == trained(tmp_path / "b", leaves, config)


def test_ctrl_c_comes_through_and_works_afterwards(leaves: PreparedDataset, tmp_path: Path) -> None:
    before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    with pytest.raises(KeyboardInterrupt):
        trained(tmp_path, leaves, leaf_config(), listener=Watching(after=1, error=KeyboardInterrupt))
    assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == before


def test_a_training_that_gets_no_better_ends(leaves: PreparedDataset, tmp_path: Path) -> None:
    listener = Watching()
    # So small a step changes nothing: the first epoch stays the best, or the loss falls by next to nothing.
    config = leaf_config(training={"epochs": 9, "patience": 2, "lr": 1e-30, "weight_decay": 0})
    trained(tmp_path, leaves, config, listener=listener)
    assert len(listener.epochs) < 9
    listener = Watching()
    config = leaf_config(training={"epochs": 5, "patience": 0, "lr": 1e-30, "weight_decay": 0})
    trained(tmp_path / "never", leaves, config, listener=listener)
    assert len(listener.epochs) == 5


def test_a_loss_that_is_no_number_ends_it(leaves: PreparedDataset, tmp_path: Path) -> None:
    config = leaf_config(training={"lr": 1e30, "optimizer": "SGD", "warmup_epochs": 0})
    with pytest.raises(DataError, match=r"the loss is NaN or infinite: lower training\.lr"):
        trained(tmp_path, leaves, config)


def test_images_that_are_gone_are_said(tmp_path: Path) -> None:
    dataset = leaf_folder(tmp_path / "leaves")
    config, job = leaf_config(), leaf_job(tmp_path / "run", dataset, leaf_config())
    classifier, data = prepared(job)
    data.train[0][0].unlink()
    with pytest.raises(DataError, match="the dataset cannot be read"), translated_errors("x"):
        fit(config, classifier, data, [])


@pytest.mark.parametrize(
    "error",
    [
        RuntimeError("[enforce fail at inline_container.cc:671] . unexpected pos 17645824 vs 17645720"),
        RuntimeError("PytorchStreamWriter failed writing file data/3: file write failed"),
        OSError(28, "No space left on device"),
    ],
)
def test_a_full_disk_is_said_in_whatever_words_it_comes(error: Exception) -> None:
    with (
        pytest.raises(ResourceError, match=r"the disk is full: make room, then go on with handful train --resume"),
        translated_errors("x"),
    ):
        raise error


OTHERS: list[tuple[str, Mapping[str, Any]]] = [
    ("model", {"architecture": "test_resnet"}),
    *(("training", {name: value}) for name, value in {
        "epochs": 3, "batch": 6, "imgsz": 48, "height": 48, "resize": "crop", "optimizer": "SGD", "lr": 0.002,
        "lrf": 1, "weight_decay": 0.3, "warmup_epochs": 0, "label_smoothing": 0.0, "balance": "weights",
        "precision": "bf16-mixed", "seed": 1, "head_epochs": 1, "ema": 0.0, "dropout": 0.5,
    }.items()),
    ("training", {"balance": "sampling"}),
    ("training", {"resize": "letterbox"}),
    *(("augmentation", {name: value}) for name, value in {
        "crop": 1.0, "fliplr": 0.0, "flipud": 0.5, "degrees": 30, "brightness": 0.0, "contrast": 0.0,
        "saturation": 0.0, "hue": 0.2, "trivial": True, "erasing": 0.9, "mixup": 0.5, "cutmix": 0.5,
    }.items()),
]  # fmt: skip
"""Each setting of a training with another value."""
ELSEWHERE = {"training.device", "training.workers", "training.patience", "training.drop_path", "model.pretrained"}
"""What changes no weights of this network on a processor in two epochs: they have tests of their own."""


@pytest.fixture(scope="module")
def uneven(tmp_path_factory: pytest.TempPathFactory) -> PreparedDataset:
    sizes = dict(zip(COLOURS, (6, 4, 2), strict=True))
    return leaf_folder(tmp_path_factory.mktemp("uneven") / "leaves", sizes)


@pytest.fixture(scope="module")
def usual(uneven: PreparedDataset, tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return _tensors(trained(tmp_path_factory.mktemp("usual"), uneven, leaf_config()), tmp_path_factory.mktemp("read"))


def _tensors(weights: bytes, folder: Path) -> bytes:
    """Of the network alone: the file names the settings too."""
    (folder / "weights.safetensors").write_bytes(weights)
    module, _ = read_weights(folder / "weights.safetensors")
    return b"".join(tensor.numpy().tobytes() for tensor in module.state_dict().values())


@pytest.mark.parametrize(("section", "values"), OTHERS, ids=str)
def test_every_setting_changes_the_weights(
    section: str, values: Mapping[str, Any], uneven: PreparedDataset, usual: bytes, tmp_path: Path
) -> None:
    weights = trained(tmp_path, uneven, leaf_config(**{section: values}))
    assert _tensors(weights, tmp_path) != usual


def test_every_setting_is_tried() -> None:
    tried = {f"{section}.{name}" for section, values in OTHERS for name in values}
    config = leaf_config()
    there = {
        f"{s}.{name}" for s in ("model", "training", "augmentation") for name in type(getattr(config, s)).model_fields
    }
    assert tried | ELSEWHERE == there


@given(
    epochs=st.integers(1, 40), batches=st.integers(1, 50), warm_up=st.floats(0, 50), last=st.floats(0, 1),
    head=st.integers(0, 5),
)  # fmt: skip
def test_the_learning_rate_rises_then_falls(epochs: int, batches: int, warm_up: float, last: float, head: int) -> None:
    whole = (head + epochs) * batches
    curve = learning_rate_curve(whole, warm_up * batches, batches, last, head * batches)
    assert {curve(step) for step in range(head * batches)} <= {1.0}
    shares = [curve(step) for step in range(head * batches, whole + 1)]
    assert all(0 <= share <= 1 + 1e-9 for share in shares)
    top = int(np.argmax(shares))
    assert shares[: top + 1] == sorted(shares[: top + 1])
    assert shares[top:] == sorted(shares[top:], reverse=True)
    assert top <= (epochs - 1) * batches + 1, "the last epoch is no warm-up"
    assert shares[-1] == pytest.approx(last)


class Weights(lightning.Callback):
    """Keeps the network's tensors as they are at the beginning, and after each batch."""

    def __init__(self) -> None:
        self.steps: list[dict[str, torch.Tensor]] = []

    def on_train_start(self, trainer: lightning.Trainer, pl_module: Any) -> None:
        self.on_train_batch_end(trainer, pl_module)

    def on_train_batch_end(self, trainer: lightning.Trainer, pl_module: Any, *_: object) -> None:
        self.steps.append({key: tensor.clone() for key, tensor in pl_module.module.state_dict().items()})


def watched(folder: Path, dataset: PreparedDataset, config: ClassificationConfig) -> tuple[Classifier, Weights]:
    """A training, with the network after each of its steps."""
    classifier, data = prepared(leaf_job(folder, dataset, config))
    weights = Weights()
    fit(config, classifier, data, [weights])
    return classifier, weights


def test_the_average_of_the_weights_is_kept(leaves: PreparedDataset, tmp_path: Path) -> None:
    classifier, weights = watched(tmp_path, leaves, leaf_config(training={"ema": 0.7}))
    _, first, *others = weights.steps
    expected = dict(first)
    for step, now in enumerate(others, start=1):
        decay = min(0.7, 1 - (1 + step) ** (-2 / 3))  # timm's, which begins with the weights as they are.
        for key, tensor in now.items():
            mixed = expected[key] * decay + tensor * (1 - decay)
            expected[key] = mixed if tensor.is_floating_point() else tensor
    kept = classifier.kept.state_dict()
    assert all(torch.allclose(kept[key], expected[key], atol=1e-5) for key in expected)
    assert not all(torch.allclose(kept[key], now[key], atol=1e-5) for key in expected)
    assert watched(tmp_path, leaves, leaf_config(training={"ema": 0}))[0].average is None


def test_epochs_of_the_head_leave_the_rest_as_it_is(leaves: PreparedDataset, tmp_path: Path) -> None:
    config = leaf_config(training={"epochs": 3, "head_epochs": 2, "warmup_epochs": 0, "ema": 0})
    classifier, weights = watched(tmp_path, leaves, config)
    begin, head, end = weights.steps[0], weights.steps[6], weights.steps[-1]
    assert len(weights.steps) == 1 + 9, "three batches an epoch"
    # Norms with their statistics are of the rest, too.
    assert {key for key in begin if not torch.equal(begin[key], head[key])} == {"classifier.weight", "classifier.bias"}
    assert all(not torch.equal(head[key], end[key]) for key in begin if begin[key].ndim)
    assert classifier.module.training
    alone = leaf_config(training={"epochs": 2, "head_epochs": 2, "ema": 0})
    steps = watched(tmp_path, leaves, alone)[1].steps
    assert {key for key in begin if not torch.equal(steps[0][key], steps[-1][key])} == {
        "classifier.weight",
        "classifier.bias",
    }


def test_a_parameter_that_a_network_keeps_fixed_stays_so(leaves: PreparedDataset, tmp_path: Path) -> None:
    config = leaf_config(training={"head_epochs": 1})
    classifier, data = prepared(leaf_job(tmp_path, leaves, config))
    classifier.module.conv_stem.weight.requires_grad_(False)  # type: ignore[union-attr]
    fixed = Classifier(classifier.module, classifier.network, config, data)
    fit(config, fixed, data, [])
    assert not fixed.module.conv_stem.weight.requires_grad  # type: ignore[union-attr]
    assert fixed.module.conv_head.weight.requires_grad  # type: ignore[union-attr]


def test_patience_begins_when_the_whole_network_is_trained() -> None:
    config = leaf_config(training={"epochs": 9, "head_epochs": 4, "patience": 2})
    assert [epoch for epoch in range(1, 10) if out_of_patience(config, epoch, best=1)] == [6, 7, 8, 9]
    assert [epoch for epoch in range(1, 10) if out_of_patience(config, epoch, best=5)] == [7, 8, 9]


def test_a_package_that_answers_otherwise_is_refused(leaves: PreparedDataset, tmp_path: Path) -> None:
    job = leaf_job(tmp_path, leaves, leaf_config(training={"epochs": 1}))
    weights = ENGINE.train(job, Watching(), resume=False)
    built = build_package(job, weights)
    assert built.parity.ok
    assert str(built.parity).startswith("9 first classes and 9 prediction sets of 9 agree")
    manifest = built.package.manifest
    assert (manifest.task, manifest.classes, manifest.weights) == ("classify", tuple(COLOURS), "weights.safetensors")
    assert manifest.producer.versions.keys() >= {"torch", "lightning", "timm"}
    here = (str(tmp_path).encode(), str(Path.cwd()).encode(), b"site-packages")
    assert not [n for n in manifest.files if any(p in (built.package.root / n).read_bytes() for p in here)]

    module, network = read_weights(weights)
    with torch.no_grad():
        module.get_classifier().bias[0] += 5  # type: ignore[operator, union-attr, index]
    write_weights(module, network, tmp_path / "other.safetensors")
    reference = ENGINE.reference(job.config, load_model(built.package), tmp_path / "other.safetensors")
    with pytest.raises(RefusedError, match=r"\d first classes and \d prediction sets of 1 agree"):
        check_parity(reference, leaves.images("val"))


def test_answers_agree_within_the_tolerance_and_in_their_first_class() -> None:
    sure = np.float32([0.2, 0.7, 0.1])
    assert compare_probabilities(sure, sure).ok
    assert not compare_probabilities(sure, np.float32([0.22, 0.68, 0.1])).ok
    assert not compare_probabilities(np.float32([0.504, 0.496]), np.float32([0.496, 0.504])).ok, "another class first"
    assert compare_probabilities(np.float32([0.50001, 0.49999]), np.float32([0.49999, 0.50001])).ok, "a tie"
    assert compare_probabilities(sure, np.float32([0.205, 0.695, 0.1]), 0.15).ok
    assert not compare_probabilities(sure, np.float32([0.205, 0.695, 0.1]), 0.203).ok, "another set"
    assert compare_probabilities(sure, np.float32([0.20001, 0.69999, 0.1]), 0.20001).ok, "a tie"


def test_weights_of_something_else_are_refused(tmp_path: Path) -> None:
    (tmp_path / "x.safetensors").write_bytes(b"nothing")
    with pytest.raises(DataError, match="holds no weights of a classifier"):
        read_weights(tmp_path / "x.safetensors")


def test_validation_sees_what_serving_sees(leaves: PreparedDataset) -> None:
    network = Network.of(leaf_config(training={"height": 48, "resize": "letterbox"}), leaves.classes)
    samples = list(leaves.split("val"))
    pixels = decode_image(samples[0][0].read_bytes())
    tensor, class_id = ServedImages(samples, network)[0]
    assert class_id == 0
    assert np.array_equal(tensor.numpy(), to_input(pixels, network.input)[0][0])


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"imgsz": 60}, "cannot be built for 60 by 60 pixels"),
        ({"height": 40}, "cannot be built for 32 by 40 pixels"),
    ],
)
def test_a_vision_transformer_of_a_size_that_its_patches_do_not_fill(
    change: Mapping[str, Any], words: str, leaves: PreparedDataset
) -> None:
    config = leaf_config(model={"architecture": "test_vit"}, training=change)
    with pytest.raises(ConfigError, match=words):
        Network.of(config, leaves.classes).build()


SLOW = ("resnet50", "efficientnet_b0", "mobilenetv3_large_100", "vit_tiny_patch16_224", "vit_small_patch16_224")
"""Those that configs/leaves.yaml proposes."""


def test_every_network_that_the_configuration_proposes_is_tried(repository: Path) -> None:
    text = (repository / "configs" / "leaves.yaml").read_text(encoding="utf-8")
    assert set(re.findall(r"# architecture: (\w+)", text)) == set(SLOW)


@pytest.mark.parametrize(
    "architecture",
    ["test_vit", "tf_efficientnet_lite0", *(pytest.param(name, marks=pytest.mark.slow) for name in SLOW)],
)
def test_networks_of_every_kind_answer_after_export_as_before(
    architecture: str, leaves: PreparedDataset, tmp_path: Path
) -> None:
    config = leaf_config(model={"architecture": architecture}, training={"epochs": 1, "height": 64})
    job = leaf_job(tmp_path, leaves, config)
    built = build_package(job, ENGINE.train(job, Watching(), resume=False))
    assert built.parity.ok
    manifest = built.package.manifest
    assert (manifest.architecture, manifest.input.width, manifest.input.height) == (architecture, 32, 64)
    assert manifest.output.shape == (1, 3)
    assert manifest.output.embedding is not None
    pixels = decode_image(leaves.images("test")[0].read_bytes())
    answer = load_model(built.package).predict(pixels, explain=True)
    assert (answer.explanation is None) == (manifest.output.class_maps is None)
    assert (manifest.output.class_maps is None) == (architecture == "mobilenetv3_large_100"), "it has a layer between"
    assert answer.distance is not None
