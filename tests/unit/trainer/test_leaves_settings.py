"""What a classifier's configuration may say, and what is refused of it."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from handful_core.errors import ConfigError
from handful_trainer.config import load_config, to_yaml, with_values
from handful_trainer.config.ineffective import refuse_ineffective
from handful_trainer.config.loading import flatten
from handful_trainer.dataset.prepared import PreparedDataset
from handful_trainer.tasks import engine_of
from handful_trainer.tasks.classification.ineffective import CLASSIFICATION
from handful_trainer.tasks.classification.settings import ClassificationConfig
from handful_trainer.tasks.classification.task import ClassificationTask, LightningEngine, validate_against_dataset
from handful_trainer.tasks.classification.training.placement import Placement, placement
from support.small_leaves import COLOURS, leaf_config, leaf_folder

LITE0 = {"model.pretrained": "efficientnet-lite0"}
HEAD = LITE0 | {"training.head_epochs": 2}
COCO = {"dataset.source": "coco", "dataset.path": "x"}


def read(folder: Path, **sections: Mapping[str, Any]) -> ClassificationConfig:
    """A configuration, from a file."""
    path = folder / "leaves.yaml"
    path.write_text(yaml.safe_dump({"task": "classify", "dataset": {"source": "sample"}, **sections}))
    return load_config(path)  # type: ignore[return-value]


def test_a_file_of_a_classifier_is_read_and_printed(tmp_path: Path) -> None:
    config = read(tmp_path, model={"architecture": "resnet50", "pretrained": "no"}, training={"height": 112})
    assert isinstance(config, ClassificationConfig)
    assert (config.model.architecture, config.model.pretrained) == ("resnet50", False)
    assert config.training.size == (224, 112)
    assert (config.mlflow.model_name, config.gate.metric) == ("leaves", "macro_f1")
    text = to_yaml(config)
    assert text.startswith("task: classify\n")
    assert list(yaml.safe_load(text)["model"]) == ["architecture", "pretrained"]
    (tmp_path / "again.yaml").write_text(text)
    assert load_config(tmp_path / "again.yaml") == config


@pytest.mark.parametrize(
    ("sections", "words"),
    [
        ({"model": {"architecture": "resnet50", "pretrained": "efficientnet-lite0"}}, "belong to model.arch"),
        ({"model": {"architecture": "ResNet50"}}, "model.architecture = 'ResNet50' does not fit"),
        ({"training": {"device": [0, 1], "batch": 33}}, "batch: 33 images cannot be shared out to 2 devices alike"),
        ({"training": {"device": "0, 1", "batch": 2}}, "batch: 2 images cannot be shared out to 2 devices alike"),
        ({"training": {"device": []}}, "device: name one at least"),
        ({"training": {"device": "0,"}}, "device: name one at least"),
        ({"training": {"device": [0, 0]}}, "device: 0 is named twice"),
        ({"training": {"head_epochs": -1}}, "training.head_epochs = -1 does not fit"),
        ({"training": {"ema": 1}}, "training.ema = 1 does not fit"),
        ({"training": {"device": "cpu", "precision": "16-mixed"}}, "16-mixed needs a CUDA device"),
        ({"training": {"batch": 1}}, "training.batch = 1 does not fit"),
        ({"training": {"lr0": 0.1}}, "there is no setting training.lr0: did you mean training.lr?"),
        ({"training": {"balance": "more"}}, "training.balance"),
        ({"augmentation": {"mosaic": 1}}, "there is no setting augmentation.mosaic"),
        ({"augmentation": {"crop": 0}}, "augmentation.crop = 0 does not fit"),
        ({"gate": {"metric": "mAP50"}}, "gate.metric = 'mAP50' does not fit"),
        ({"package": {"head": "raw"}}, "there is no setting package.head"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_one_clear_line(tmp_path: Path, sections: Mapping[str, Any], words: str) -> None:
    with pytest.raises(ConfigError) as refused:
        read(tmp_path, **sections)
    assert words in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_task_without_an_engine_cannot_be_trained(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ClassificationTask, "engine", None)
    with pytest.raises(ConfigError, match="models of the task classify cannot be trained here"):
        engine_of("classify")


@pytest.fixture(scope="module")
def leaves(tmp_path_factory: pytest.TempPathFactory) -> PreparedDataset:
    return leaf_folder(tmp_path_factory.mktemp("leaves") / "leaves", others=1)


def copied(leaves: PreparedDataset, root: Path, *without: str) -> PreparedDataset:
    """The same dataset less some folders' images."""
    shutil.copytree(leaves.root, root)
    for place in without:
        for path in (root / place).rglob("*.png"):
            path.unlink()
    return PreparedDataset.open(root)


@pytest.mark.parametrize(
    ("without", "words"),
    [
        (["train/rust"], "no training image shows rust"),
        (["train/rust", "train/green"], "no training image shows green, rust"),
        (["val"], "the dataset has no images for val"),
        (["val", "test"], "the dataset has no images for val and test"),
    ],
)
def test_a_dataset_that_cannot_be_learnt_from_is_refused(
    leaves: PreparedDataset, tmp_path: Path, without: list[str], words: str
) -> None:
    with pytest.raises(ConfigError, match=words):
        validate_against_dataset(leaf_config(), copied(leaves, tmp_path / "leaves", *without))


def test_one_class_alone_is_refused(leaves: PreparedDataset, tmp_path: Path) -> None:
    shutil.copytree(leaves.root, tmp_path / "leaves")
    for split in ("train", "val", "test"):
        for name in ("rust", "yellow"):
            shutil.rmtree(tmp_path / "leaves" / split / name)
    with pytest.raises(ConfigError, match="the dataset has one class, green"):
        validate_against_dataset(leaf_config(), PreparedDataset.open(tmp_path / "leaves"))


def test_a_class_without_images_to_validate_on_is_trained(leaves: PreparedDataset, tmp_path: Path) -> None:
    validate_against_dataset(leaf_config(), copied(leaves, tmp_path / "leaves", "val/rust"))


def test_top5_of_three_classes_is_no_metric(leaves: PreparedDataset) -> None:
    config = leaf_config(gate={"metric": "top5"})
    with pytest.raises(ConfigError, match=r"gate\.metric is top5, and the dataset has 3 classes"):
        validate_against_dataset(config, leaves)
    validate_against_dataset(config, leaves, register=False)


def test_a_network_that_timm_does_not_know_gets_the_nearest_name(leaves: PreparedDataset) -> None:
    config = leaf_config(model={"architecture": "resnet_50"})
    with pytest.raises(ConfigError, match=r"timm has no network resnet_50: did you mean resnet50\?"):
        LightningEngine().validate(config, leaves, register=True)
    config = leaf_config(model={"architecture": "qqq"})
    with pytest.raises(ConfigError, match="timm has no network qqq"):
        LightningEngine().validate(config, leaves, register=True)


def test_a_device_that_is_not_there_is_named(leaves: PreparedDataset) -> None:
    import torch

    count = torch.cuda.device_count()
    assert placement(leaf_config(training={"device": "cpu"})) == Placement("cpu")
    for device in (count, str(count), [count], "gpu", [count, count + 1], f"{count},{count + 1}", "cpu,mps"):
        with pytest.raises(ConfigError, match=rf"training\.device: there is no device .* \(CUDA devices: {count}\)"):
            placement(leaf_config(training={"device": device}))
    with pytest.raises(ConfigError, match="there is no device"):  # Before there is a run.
        LightningEngine().validate(leaf_config(training={"device": count}), leaves, register=True)


@pytest.mark.parametrize(
    ("values", "line"),
    [
        ({"training.epochs": 1, "training.warmup_epochs": 3}, "training.warmup_epochs does nothing: "),
        ({"training.epochs": 3, "training.warmup_epochs": 2.5}, "training.warmup_epochs is cut short"),
        (HEAD | {"training.epochs": 3, "training.warmup_epochs": 1}, "training.warmup_epochs does nothing: one epoch"),
        (HEAD | {"training.epochs": 4, "training.warmup_epochs": 2}, "training.warmup_epochs is cut short"),
        ({"training.device": "cpu", "training.workers": 4}, "training.workers does nothing: training.device is cpu"),
        ({"training.height": 224}, "training.height does nothing: it is training.imgsz"),
        ({"training.balance": "weights"}, "training.balance does nothing: all classes have the same number"),
        ({"dataset.counts": {"green": 1}}, "dataset.counts does nothing: a classifier counts nothing"),
        (COCO | {"dataset.polygons": "refuse"}, "dataset.polygons does nothing: a classifier's labels"),
    ],
)  # fmt: skip
def test_settings_that_do_nothing_are_said(
    values: Mapping[str, Any], line: str, leaves: PreparedDataset, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = with_values(read(tmp_path), values)
    refuse_ineffective(config)
    refuse_ineffective(config, leaves)
    said = capsys.readouterr().err
    assert line in said
    assert said.count("warning: ") == said.count("\n") == 1


def test_epochs_of_the_last_layer_alone_want_a_network_that_knows_something(tmp_path: Path) -> None:
    config = with_values(read(tmp_path), {"training.head_epochs": 1})
    with pytest.raises(ConfigError, match=r"training\.head_epochs does no good: model\.pretrained is false"):
        refuse_ineffective(config)
    refuse_ineffective(with_values(config, LITE0))
    refuse_ineffective(with_values(config, {"training.head_epochs": 0}))


def test_where_they_do_something_nothing_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    uneven = leaf_folder(tmp_path / "uneven", dict(zip(COLOURS, (2, 1, 1), strict=True)), others=1)
    values = {"training.epochs": 3, "training.warmup_epochs": 2, "training.balance": "weights", "training.height": 112}
    config = with_values(read(tmp_path), values)
    refuse_ineffective(config)
    refuse_ineffective(config, uneven)
    assert capsys.readouterr().err == ""


def test_the_configuration_that_comes_along_says_nothing_in_vain(
    repository: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = load_config(repository / "configs" / "leaves.yaml")
    assert isinstance(config, ClassificationConfig)
    refuse_ineffective(config)
    assert capsys.readouterr().err == ""


def test_the_networks_that_it_proposes_are_timm_s(repository: Path) -> None:
    lines = (repository / "configs" / "leaves.yaml").read_text(encoding="utf-8").splitlines()
    proposed = [yaml.safe_load(line.strip("# ")) for line in lines if line.startswith(("  # arch", "  # pretrained:"))]
    pairs = list(zip(proposed[::2], proposed[1::2], strict=True))
    assert len(pairs) == 5
    for network, weights in pairs:
        assert weights["pretrained"].partition(".")[0] == network["architecture"]
        assert LightningEngine().publishes(weights["pretrained"]), weights


def test_every_rule_is_of_settings_that_there_are() -> None:
    known = flatten(leaf_config().model_dump())
    for rule in CLASSIFICATION:
        assert all(any(k == s or k.startswith(f"{s}.") for k in known) for s in rule.settings), rule.settings
        assert set(rule.by) <= known.keys(), rule.by
