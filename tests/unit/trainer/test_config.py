from pathlib import Path

import pytest
import yaml

from handful_core.errors import ConfigError
from handful_trainer.config import load_config, to_yaml
from handful_trainer.config.loading import flatten

MINIMAL = {"dataset": {"source": "sample"}}


def write(folder: Path, content: object) -> Path:
    path = folder / "training.yaml"
    path.write_text(content if isinstance(content, str) else yaml.safe_dump(content))
    return path


def test_defaults_are_ultralytics_own(tmp_path: Path) -> None:
    from ultralytics.utils import DEFAULT_CFG_DICT

    config = load_config(write(tmp_path, MINIMAL))
    ours = config.training.model_dump() | config.augmentation.model_dump()
    renamed = {"device", "max_time_hours"}
    assert {key: ours[key] for key in ours if key not in renamed} == {
        key: DEFAULT_CFG_DICT[key] for key in ours if key not in renamed
    }
    assert (config.training.epochs, config.training.batch, config.training.patience) == (100, 16, 100)


@pytest.mark.parametrize("name", ["fingers", "sample"])
def test_shipped_configurations_are_valid(repository: Path, name: str) -> None:
    config = load_config(repository / "configs" / f"{name}.yaml")
    assert config.dataset.split.train == 0.8


def test_overrides_win_in_order_and_are_yaml(tmp_path: Path) -> None:
    path = write(tmp_path, MINIMAL | {"training": {"epochs": 3}})
    words = [
        "training.epochs=5",
        "training.epochs=7",
        "model.pretrained=false",
        "mlflow.tags.team=hands",
        "training.device=[0, 1]",
    ]
    config = load_config(path, words)
    assert config.training.epochs == 7
    assert config.model.pretrained is False
    assert config.mlflow.tags == {"team": "hands"}
    assert config.training.device == [0, 1]


def test_what_is_printed_reads_back_the_same(tmp_path: Path) -> None:
    config = load_config(write(tmp_path, MINIMAL), ["dataset.classes=['0', '1', unknown]", "training.imgsz=96"])
    assert load_config(write(tmp_path, to_yaml(config))) == config


@pytest.mark.parametrize(
    ("content", "overrides", "words"),
    [
        (MINIMAL | {"training": {"epoch": 3}}, [], ["training.epoch", "did you mean training.epochs?"]),
        (MINIMAL | {"trainin": {}}, [], ["trainin", "did you mean training?"]),
        (MINIMAL | {"epochs": 3}, [], ["epochs", "did you mean training.epochs?"]),
        (MINIMAL | {"training": {"mosaic": 1}}, [], ["did you mean augmentation.mosaic?"]),
        (MINIMAL, ["training.imgsz=100"], ["training.imgsz", "100", "multiple of 32"]),
        (MINIMAL, ["training.epochs=many"], ["training.epochs", "many", "integer"]),
        (MINIMAL, ["model.pretrained=true"], ["model.pretrained", "yolo11n.pt"]),
        (MINIMAL, ["model.family=yolo9"], ["model.family", "yolo11", "yolo26"]),
        (MINIMAL, ["epochs"], ["--set epochs", "section.key=value"]),
        (MINIMAL, ["training.epochs=1", "training.epochs.x=1"], ["epochs is a value, not a section"]),
        (MINIMAL, ["dataset.check=structure"], ["dataset does not fit: check: structure sees no pixels"]),
        (MINIMAL, ["package.head=nms_free"], ["training.yaml does not fit: package.head: nms_free needs model.family"]),
        ({}, [], ["dataset is missing"]),
        ("a: [", [], ["not valid YAML"]),
        ("- 1", [], ["holds no settings"]),
        ("", [], ["holds no settings"]),
    ],
)
def test_a_wrong_configuration_is_named_in_one_line(
    tmp_path: Path, content: object, overrides: list[str], words: list[str]
) -> None:
    with pytest.raises(ConfigError) as caught:
        load_config(write(tmp_path, content), overrides)
    line = str(caught.value)
    assert "\n" not in line
    for word in words:
        assert word in line


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"none\.yaml does not exist"):
        load_config(tmp_path / "none.yaml")
    with pytest.raises(ConfigError, match="is a folder"):
        load_config(tmp_path)


def test_flatten_keeps_every_value() -> None:
    assert flatten({"a": {"b": 1, "c": {"d": [1, 2]}}, "e": {}}) == {"a.b": 1, "a.c.d": [1, 2], "e": {}}
