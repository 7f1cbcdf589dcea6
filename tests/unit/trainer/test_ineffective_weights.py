"""The table of settings that do nothing, held to Ultralytics: each setting is changed, and the weights are compared."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest

import handful_trainer.tasks.detection.ineffective as table
from handful_core.errors import ConfigError
from handful_trainer.config import with_values
from handful_trainer.dataset.prepared import PreparedDataset
from handful_trainer.tasks.detection.settings import DetectionAugmentation, DetectionConfig, DetectionTraining
from handful_trainer.tasks.detection.ultralytics import configure_ultralytics
from support.small_training import small_folder, trained_weights

_CHANGED: dict[str, tuple[Any, ...]] = {
    "training.epochs": (5,),
    "training.batch": (3,),
    "training.imgsz": (96,),
    "training.seed": (1,),
    "training.optimizer": ("AdamW", "SGD"),
    "training.lr0": (0.02,),
    "training.lrf": (0.5,),
    "training.momentum": (0.8,),
    "training.weight_decay": (0.1,),
    "training.warmup_epochs": (2,),
    "training.warmup_momentum": (0.3,),
    "training.warmup_bias_lr": (0.3,),
    "training.cos_lr": (True,),
    "training.box": (5,),
    "training.cls": (1,),
    "training.dfl": (3,),
    "training.cls_pw": (0.5,),
    "training.nbs": (8, 2),
    "training.freeze": (1,),
    "training.multi_scale": (0.5,),
    "training.single_cls": (True,),
    "training.rect": (True,),
    "training.fraction": (0.5,),
    "augmentation.hsv_h": (0.1,),
    "augmentation.hsv_s": (0.3,),
    "augmentation.hsv_v": (0.2,),
    "augmentation.degrees": (20,),
    "augmentation.translate": (0.3,),
    "augmentation.scale": (0.2,),
    "augmentation.shear": (10,),
    "augmentation.perspective": (0.0005,),
    "augmentation.flipud": (0.5,),
    "augmentation.fliplr": (0.1,),
    "augmentation.bgr": (0.5,),
    "augmentation.mosaic": (0.3,),
    "augmentation.close_mosaic": (2,),
    "augmentation.mixup": (0.5,),
    "augmentation.cutmix": (0.5,),
    "augmentation.erasing": (0.1,),
}
"""Other values of every setting that may change the weights."""
_OTHER_MATTERS = {
    *("training.device", "training.workers", "training.amp", "training.cache", "training.deterministic"),
    *("training.patience", "training.max_time_hours"),
}
"""Speed, repeatability, and when a training ends."""
_BASE = {
    "training.epochs": 3,
    "training.batch": 2,
    "training.imgsz": 64,
    "training.nbs": 4,
    "training.optimizer": "SGD",
    "training.warmup_epochs": 1,
    "training.device": "cpu",
    "augmentation.close_mosaic": 1,
}
_BASES: dict[str, dict[str, Any]] = {
    "SGD": {},
    "auto": {"training.optimizer": "auto"},
    "auto, no warm-up": {"training.optimizer": "auto", "training.warmup_epochs": 0},
    "AdamW": {"training.optimizer": "AdamW"},
    "NAdam": {"training.optimizer": "NAdam"},
    "RMSProp": {"training.optimizer": "RMSProp"},
    "MuSGD": {"training.optimizer": "MuSGD"},
    "no warm-up": {"training.warmup_epochs": 0},
    "one epoch": {"training.epochs": 1, "augmentation.close_mosaic": 0},
    "two epochs": {"training.epochs": 2, "augmentation.close_mosaic": 0},
    "level": {"training.lrf": 1},
    "mosaic closed": {"augmentation.close_mosaic": 10},
    "no mosaic": {"augmentation.mosaic": 0},
    "rectangular": {"training.rect": True},
    "each batch a step": {"training.nbs": 1, "training.weight_decay": 0},
    "one class": {"training.single_cls": True},
}

_CHANCE = {("no mosaic", "augmentation.close_mosaic"), ("rectangular", "augmentation.close_mosaic")}
"""The images come in another order, and nothing else changes: the loader begins anew where mosaic would end."""


def config(values: Mapping[str, Any]) -> DetectionConfig:
    """A configuration in which these dotted settings are written."""
    return with_values(DetectionConfig.model_validate({"dataset": {"source": "sample"}}), values)  # type: ignore[return-value]


@pytest.fixture(scope="module")
def data_yaml(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    import torch

    folder = tmp_path_factory.mktemp("small")
    configure_ultralytics(folder / "home")
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # Sums in another order would be other weights.
    yield small_folder(folder / "data")
    torch.set_num_threads(threads)


@cache
def _trained(data_yaml: Path, values: frozenset[tuple[str, Any]]) -> str:
    return trained_weights(config(dict(values)), data_yaml)


def _does_nothing(data_yaml: Path, base: Mapping[str, Any], key: str, value: Any) -> bool:
    plain = _BASE | base
    return _trained(data_yaml, frozenset(plain.items())) == _trained(
        data_yaml, frozenset((plain | {key: value}).items())
    )


def _is_in_the_table(dataset: PreparedDataset, base: Mapping[str, Any], key: str, value: Any) -> bool:
    made = config({**_BASE, **base, key: value})
    return any(rule.covers(key) and rule.level != "search" and rule.when(made, dataset) for rule in table.DETECTION)


def test_every_setting_is_tried() -> None:
    """A new setting has to be put into one of the two."""
    sections = {"training": DetectionTraining, "augmentation": DetectionAugmentation}
    every = {f"{name}.{key}" for name, section in sections.items() for key in section.model_fields}
    assert _CHANGED.keys() | _OTHER_MATTERS == every
    assert not _CHANGED.keys() & _OTHER_MATTERS


@pytest.mark.parametrize(
    ("base", "key"),
    [
        ("auto", "training.lr0"),
        ("auto", "training.momentum"),
        ("auto", "training.warmup_bias_lr"),
        ("auto, no warm-up", "training.momentum"),
        ("AdamW", "training.warmup_momentum"),
        ("no warm-up", "training.warmup_bias_lr"),
        ("one epoch", "training.lrf"),
        ("two epochs", "training.cos_lr"),
        ("level", "training.cos_lr"),
        ("mosaic closed", "augmentation.mixup"),
        ("rectangular", "augmentation.cutmix"),
        ("one class", "training.cls_pw"),
        ("SGD", "augmentation.erasing"),
    ],
)
def test_what_the_table_names_leaves_the_weights_as_they_are(data_yaml: Path, base: str, key: str) -> None:
    assert _does_nothing(data_yaml, _BASES[base], key, _CHANGED[key][0])
    assert _is_in_the_table(PreparedDataset.open(data_yaml), _BASES[base], key, _CHANGED[key][0])


@pytest.mark.parametrize(
    ("base", "key"),
    [
        ("SGD", "training.lr0"),
        ("AdamW", "training.momentum"),
        ("auto", "training.weight_decay"),
        ("no mosaic", "augmentation.mixup"),
    ],
)
def test_what_it_does_not_name_changes_them(data_yaml: Path, base: str, key: str) -> None:
    assert not _does_nothing(data_yaml, _BASES[base], key, _CHANGED[key][0])
    assert not _is_in_the_table(PreparedDataset.open(data_yaml), _BASES[base], key, _CHANGED[key][0])


@pytest.mark.slow
@pytest.mark.parametrize("name", _BASES)
def test_a_setting_changes_the_weights_or_is_in_the_table(data_yaml: Path, name: str) -> None:
    """Every setting under every base: this finds what the next Ultralytics leaves out, or the next setting."""
    dataset, base = PreparedDataset.open(data_yaml), _BASES[name]
    wrong = [
        f"{key} = {value}"
        for key, values in _CHANGED.items()
        for value in values
        if (_BASE | base).get(key) != value
        and (name, key) not in _CHANCE
        and _does_nothing(data_yaml, base, key, value) != _is_in_the_table(dataset, base, key, value)
    ]
    assert not wrong


def test_a_rule_names_all_settings_that_it_depends_on(data_yaml: Path) -> None:
    """A search tries the values of these alone to find out where a setting does nothing."""
    datasets = (None, PreparedDataset.open(data_yaml))
    others = {"package.head": "nms_in_graph", "package.class_agnostic": False, "model.size": "s", "dataset.seed": 1}
    changes = {key: values[0] for key, values in _CHANGED.items()} | others
    for base in _BASES.values():
        plain = config(_BASE | base)
        for key, value in changes.items():
            changed = config({**_BASE, **base, key: value})
            for rule in table.DETECTION:
                assert key in rule.by or all(rule.when(plain, d) == rule.when(changed, d) for d in datasets), (
                    rule,
                    key,
                )


def test_ultralytics_is_the_one_that_the_table_was_read_off() -> None:
    """A new version is a reason to run the slow test above, and to read these again."""
    import handful_trainer.tasks.detection.ineffective as table

    assert f"Ultralytics {version('ultralytics-opencv-headless')}" in (inspect.getdoc(table) or "")


def test_all_networks_have_the_layers_that_freeze_may_name() -> None:
    from ultralytics.nn.tasks import yaml_model_load

    for name in ("yolo11n.yaml", "yolo26n.yaml"):
        network = yaml_model_load(name)
        layers = len(network["backbone"]) + len(network["head"])
        assert config({"training.freeze": [0, layers - 1]}).training.freeze == [0, layers - 1]
        for freeze in (layers, [layers], -1, [-1]):
            with pytest.raises(ConfigError, match=rf"the network has {layers} layers, 0 to {layers - 1}"):
                config({"training.freeze": freeze})
