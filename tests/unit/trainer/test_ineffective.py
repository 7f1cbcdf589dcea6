"""Settings that another one switches off are refused, and the table of them is held to what Ultralytics does."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from fakes.exports import yolo_folder
from handful_core.errors import ConfigError
from handful_trainer.config import TrainingConfig, load_config, to_yaml, with_values
from handful_trainer.config.ineffective import EVERY_TASK, Ineffective, refuse_ineffective, written
from handful_trainer.config.loading import flatten
from handful_trainer.dataset.prepared import PreparedDataset
from handful_trainer.tasks.classification.ineffective import CLASSIFICATION
from handful_trainer.tasks.detection.ineffective import DETECTION
from handful_trainer.tasks.detection.settings import DetectionConfig

BOX = "0 0.5 0.5 0.25 0.5\n"
SGD = {"training.optimizer": "SGD"}
YOLO = {"dataset.source": "yolo", "dataset.path": "x"}


def config(values: Mapping[str, Any] | None = None) -> DetectionConfig:
    """A configuration in which these dotted settings are written."""
    made = DetectionConfig.model_validate({"dataset": {"source": "sample"}})
    return with_values(made, values or {})  # type: ignore[return-value]


def says(
    values: Mapping[str, Any], capsys: pytest.CaptureFixture[str], dataset: PreparedDataset | None = None
) -> tuple[str, str]:
    """The error's line, and the warnings."""
    capsys.readouterr()
    error = ""
    try:
        refuse_ineffective(config(values), dataset)
    except ConfigError as refused:
        error = str(refused)
    return error, capsys.readouterr().err


@pytest.mark.parametrize(
    ("values", "line"),
    [
        ({"training.lr0": 0.001}, "training.lr0 does nothing: training.optimizer is auto"),
        ({"training.warmup_bias_lr": 0.2}, "training.warmup_bias_lr does nothing: training.optimizer is auto"),
        ({"training.momentum": 0.8, "training.warmup_epochs": 0}, "training.momentum does nothing: training.optimizer"),
        ({"training.optimizer": "AdamW", "training.warmup_momentum": 0.5}, "AdamW has betas"),
        (SGD | {"training.warmup_epochs": 0, "training.warmup_momentum": 0.5}, "training.warmup_epochs is 0"),
        ({"training.lrf": 1, "training.cos_lr": True}, "training.cos_lr does nothing: training.lrf is 1"),
        ({"training.epochs": 10, "augmentation.mosaic": 0.5}, "close_mosaic is 10, so many last epochs go without"),
        (
            {"augmentation.close_mosaic": 100, "augmentation.mixup": 0.5, "augmentation.cutmix": 0.1},
            "augmentation.mixup and augmentation.cutmix do nothing",
        ),
        ({"training.rect": True, "augmentation.mixup": 0.5}, "training.rect is true"),
        ({"training.rect": True, "training.device": [0, 1]}, "training.rect does nothing"),
        ({"training.rect": True, "training.device": "0,1"}, "training.rect does nothing"),
        ({"augmentation.erasing": 0.1}, "augmentation.erasing does nothing"),
        ({"training.single_cls": True, "training.cls_pw": 0.5}, "training.cls_pw does nothing: there is one class"),
        ({"dataset.classes": ["5"], "training.cls_pw": 0.5}, "training.cls_pw does nothing: there is one class"),
        ({"model.pretrained": "yolo11n.pt", "model.size": "s"}, "into which few of the weights of yolo11n.pt fit"),
        ({"model.pretrained": "weights/yolo26x.pt"}, "the network is yolo11n"),
        (
            {"model.family": "yolo26", "package.head": "nms_free", "package.class_agnostic": False, "package.iou": 0.5},
            "package.iou does nothing",
        ),
        (YOLO | {"dataset.sample.images": 30}, "dataset.sample.images does nothing: dataset.source is yolo"),
        ({"dataset.keep_together.tags": "session:"}, "dataset.keep_together.tags does nothing"),
        ({"training.lr0": 0.001, "augmentation.erasing": 0.1}, "auto, which sets the learning rate itself (and 1 more"),
    ],
)  # fmt: skip
def test_a_setting_that_does_nothing_is_refused(
    values: Mapping[str, Any], line: str, capsys: pytest.CaptureFixture[str]
) -> None:
    error, _ = says(values, capsys)
    assert line in error
    assert "\n" not in error


@pytest.mark.parametrize(
    ("values", "line"),
    [
        ({"training.lr0": 0.01}, "training.lr0 does nothing"),  # The default's value, but written.
        ({"training.epochs": 5, "augmentation.mosaic": 1.0}, "augmentation.mosaic does nothing"),
        ({"training.epochs": 1, "training.lrf": 0.5, "training.cos_lr": True}, "training.lrf and training.cos_lr do"),
        ({"training.epochs": 2, "training.cos_lr": True}, "training.cos_lr does nothing"),
        ({"training.epochs": 3, "training.warmup_epochs": 2.5}, "training.warmup_epochs is cut short"),
        ({"augmentation.mosaic": 0, "augmentation.close_mosaic": 5}, "augmentation.close_mosaic does nothing"),
        ({"training.device": "cpu", "training.workers": 2, "training.amp": True}, "training.workers and training.amp"),
        ({"training.device": "mps", "training.workers": 2}, "training.workers does nothing"),
        ({"training.nbs": 8, "training.weight_decay": 0, "training.optimizer": "SGD"}, "training.nbs does nothing"),
        ({"dataset.polygons": "refuse"}, "dataset.polygons does nothing"),
        ({"dataset.split.source": "ignore"}, "dataset.split.source does nothing: images of the source sample"),
        (
            {"dataset.source": "csv", "dataset.path": "x", "dataset.csv.split": "a", "dataset.split.source": "ignore"},
            "dataset.csv.split does nothing: dataset.split.source is ignore",
        ),
        ({"dataset.picsellia.dataset": "hands"}, "dataset.picsellia.dataset does nothing"),
        ({"dataset.classes": ["5"], "package.class_agnostic": True}, "package.class_agnostic does nothing"),
    ],
)  # fmt: skip
def test_where_it_does_no_harm_it_is_said(
    values: Mapping[str, Any], line: str, capsys: pytest.CaptureFixture[str]
) -> None:
    error, warnings = says(values, capsys)
    assert error == ""
    assert line in warnings
    assert warnings.count("warning: ") == warnings.count("\n") == 1


@pytest.mark.parametrize(
    "values",
    [
        {},
        {"training.epochs": 1},  # Neither mosaic nor a warm-up: nobody asked for them.
        {"training.rect": True},
        {"augmentation.mosaic": 0},
        {"training.epochs": 2, "augmentation.mosaic": 0, "augmentation.mixup": 0},  # This is what happens anyway.
        {"training.epochs": 1, "training.warmup_epochs": 0, "training.cos_lr": False},
        {"training.rect": True, "augmentation.mosaic": 0},
        {"training.warmup_bias_lr": 0, "augmentation.erasing": 0},
        {"training.device": "cpu", "training.workers": 0, "training.amp": False},
        {"training.optimizer": "AdamW", "training.lr0": 0.001, "training.momentum": 0.8},
        {"training.optimizer": "SGD", "training.warmup_momentum": 0.5, "training.warmup_bias_lr": 0.2},
        {"training.optimizer": "RMSProp", "training.warmup_momentum": 0.5},
        {"training.lrf": 0.5, "training.cos_lr": True, "training.weight_decay": 0.001, "training.warmup_epochs": 1},
        {"augmentation.close_mosaic": 0, "training.epochs": 3, "augmentation.mosaic": 0.5},
        {"augmentation.close_mosaic": 2, "training.epochs": 3, "augmentation.mixup": 0.5},
        {"augmentation.mosaic": 0, "augmentation.mixup": 0.5, "augmentation.close_mosaic": 5},
        {"training.patience": 1000},
        {"training.device": [0, 1], "training.workers": 2},
        {"model.pretrained": "yolo11s.pt", "model.size": "s"},
        {"model.pretrained": "yolo11l.pt", "model.size": "m"},
        {"model.pretrained": "yolo11n.pt", "model.family": "yolo26"},  # Three quarters of the weights fit.
        {"model.pretrained": "models:/fingers@champion", "model.size": "m"},
        {"model.family": "yolo26", "package.head": "nms_free", "package.iou": 0.5},
        {"package.iou": 0.5, "package.class_agnostic": False},
        {"dataset.split.source": "keep"},
        YOLO | {"dataset.split.source": "ignore"},
        {"dataset.source": "csv", "dataset.path": "x", "dataset.csv.split": "fold"},
    ],
)
def test_what_works_and_what_nobody_wrote_is_let_through(
    values: Mapping[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    assert says(values, capsys) == ("", "")


def test_what_needs_the_dataset_is_refused_once_it_is_there(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pets = PreparedDataset.open(yolo_folder(tmp_path / "pets", {"train/a.jpg": BOX, "val/b.jpg": BOX}))
    momentum = {"training.momentum": 0.8}
    assert says(momentum, capsys) == ("", "")
    assert (
        "training.momentum does nothing: training.optimizer is auto, which takes AdamW"
        in says(momentum, capsys, pets)[0]
    )
    # MuSGD, after more than 10,000 steps, has a momentum that the warm-up changes.
    assert says(momentum | {"training.epochs": 10_001, "training.nbs": 1}, capsys, pets) == ("", "")
    names = {"dataset.counts": {"cat": 1, "horse": 2}}
    assert says(names, capsys) == ("", "")
    assert "dataset.counts does nothing for some of its names" in says(names, capsys, pets)[0]
    # What was said before is not said again.
    assert says({"training.lr0": 0.001}, capsys, pets) == ("", "")


def test_a_printed_configuration_is_as_good_as_what_it_was_printed_from(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    printed = tmp_path / "printed.yaml"
    printed.write_text(to_yaml(config({"training.epochs": 5})))
    refuse_ineffective(load_config(printed))
    assert capsys.readouterr().err == ""
    with pytest.raises(ConfigError, match=r"training\.lr0 does nothing"):
        refuse_ineffective(load_config(printed, ["training.lr0=0.5"]))


_OVERRIDES = st.fixed_dictionaries(
    {},
    optional={
        "training.optimizer": st.sampled_from(["auto", "SGD", "AdamW"]),
        "training.lr0": st.sampled_from([0.01, 0.001]),
        "training.momentum": st.sampled_from([0.937, 0.8]),
        "training.warmup_epochs": st.sampled_from([0, 3, 5]),
        "training.warmup_momentum": st.sampled_from([0.8, 0.5]),
        "training.epochs": st.sampled_from([1, 2, 10, 100]),
        "training.lrf": st.sampled_from([0.01, 1]),
        "training.cos_lr": st.booleans(),
        "training.rect": st.booleans(),
        "training.device": st.sampled_from(["auto", "cpu", 0, [0, 1]]),
        "augmentation.mosaic": st.sampled_from([0, 0.5, 1]),
        "augmentation.close_mosaic": st.sampled_from([0, 10, 50]),
        "augmentation.mixup": st.sampled_from([0, 0.5]),
        "package.class_agnostic": st.sampled_from(["auto", True, False]),
    },
)


@given(_OVERRIDES)
def test_printing_a_configuration_changes_no_verdict(values: dict[str, Any]) -> None:
    def verdict(made: TrainingConfig) -> str:
        try:
            refuse_ineffective(made)
        except ConfigError as refused:
            return str(refused)
        return ""

    made = config(values)
    printed = DetectionConfig.model_validate(yaml.safe_load(to_yaml(made)))
    assert verdict(printed) == verdict(made)
    # Without the settings that a refusal names, the next one is of others: all of them can be mended one by one.
    left = dict(values)
    while line := verdict(config(left)):
        named = [key for key in left if re.search(rf"{re.escape(key)}( and .*)? do(es)? (nothing|next)", line)]
        assert named
        left = {key: value for key, value in left.items() if key not in named}


def test_a_task_adds_rules_of_its_own(capsys: pytest.CaptureFixture[str]) -> None:
    class OwnConfig(DetectionConfig):
        """Another distribution's."""

        ineffective: ClassVar[tuple[Ineffective, ...]] = (
            *EVERY_TASK,
            Ineffective(
                settings=("training.dfl",),
                by=("training.box",),
                when=lambda c, _: c.training.box == 0,
                because="training.box is {config.training.box:g}",
                instead="leave it out",
            ),
        )

    made = OwnConfig.model_validate({"dataset": {"source": "sample"}, "training": {"box": 0, "dfl": 1, "lr0": 0.001}})
    with pytest.raises(ConfigError, match=r"^training\.dfl does nothing: training\.box is 0: leave it out$"):
        refuse_ineffective(made)
    assert capsys.readouterr().err == ""


def test_what_is_written_is_known() -> None:
    made = config({"training.epochs": 100, "training.lr0": 0.5})
    assert {setting.key: setting.changed for setting in written(made)} == {
        "dataset.source": True,
        "training.epochs": False,
        "training.lr0": True,
    }


@pytest.mark.parametrize("name", ["fingers", "picsellia", "sample", "starter"])
def test_shipped_configurations_set_nothing_in_vain(
    repository: Path, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    refuse_ineffective(load_config(repository / "configs" / f"{name}.yaml"))
    assert capsys.readouterr().err == ""


def test_every_rule_is_of_settings_that_there_are() -> None:
    known = flatten(DetectionConfig.model_validate({"dataset": {"source": "sample"}}).model_dump())
    for rule in DETECTION:
        assert all(any(k == s or k.startswith(f"{s}.") for k in known) for s in rule.settings), rule.settings
        assert set(rule.by) <= known.keys(), rule.by


def test_the_documentation_has_every_rule(repository: Path) -> None:
    lines = (repository / "docs" / "training.md").read_text(encoding="utf-8").splitlines()
    said = {"refuse": "refused", "warn": "warning", "search": "refused in a search only"}
    rows = [line.strip("| ").split(" | ") for line in lines if line.startswith("| `")]
    table = [(set(re.findall(r"`([^`]+)`", row[0])), row[-1]) for row in rows if len(row) == 3]
    for rule in (*DETECTION, *CLASSIFICATION):
        assert any(set(rule.settings) <= names and level == said[rule.level] for names, level in table), rule.settings
