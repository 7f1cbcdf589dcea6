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
        (
            MINIMAL,
            ["package.second_look=true", "package.head=nms_in_graph"],
            ["training.yaml does not fit: package.second_look needs package.head: raw, not nms_in_graph"],
        ),
        (MINIMAL, ["model.pretrained=yes"], ["model.pretrained", "yolo11n.pt"]),
        (MINIMAL, ["model.pretrained=null"], ["model.pretrained = None", "yolo11n.pt"]),
        (MINIMAL, ["training.cache=yes"], ["training.cache = True", "'ram' or 'disk'"]),
        (MINIMAL, ["training.epochs=yes"], ["training.epochs = 'yes'", "integer"]),
        (MINIMAL, ["training.epochs=12:30"], ["training.epochs = '12:30'", "integer"]),
        (MINIMAL, ["training.lr0=inf"], ["training.lr0 = 'inf'", "finite"]),
        (
            MINIMAL,
            ["training.lr0=a: b: c"],
            ["--set training.lr0=a: b: c: the value is not valid YAML (line 1, column 5"],
        ),
        ("dataset: {source: sample, classes: [true, a]}", [], ["dataset.classes.0 = True", "put it in quotes"]),
        ("dataset: {source: sample, classes: [a, null]}", [], ["dataset.classes.1 = None", "put it in quotes"]),
        ("dataset: {source: yolo, path: 315}", [], ["dataset.path = 315", "put it in quotes"]),
        ("a: 1\nb: 2\na: 3", [], ["training.yaml is not valid YAML (line 3, column 1: the key a is there twice"]),
        ("a: &a [*a]", [], ["is not valid YAML (line 1, column 4: it is nested more than 100 deep"]),
        ("[" * 10_000, [], ["is not valid YAML (line 1, column 101: it is nested more than 100 deep"]),
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


def test_words_stay_words(tmp_path: Path) -> None:
    words = "[yes, no, on, 010, 12:30, 1_000, 2024-01-05, 1e3, 1.50, 1.0, 5]"
    content = f"dataset: {{source: sample, classes: {words}, counts: {{yes: 1, 010: 2, 5: 3}}}}"
    config = load_config(
        write(tmp_path, content + "\nmlflow: {run_name: 12:30, tags: {day: 2024-01-05, version: 1.0}}")
    )
    names = ("yes", "no", "on", "010", "12:30", "1_000", "2024-01-05", "1e3", "1.50", "1.0", "5")
    assert config.dataset.classes == names
    assert config.dataset.counts == {"yes": 1, "010": 2, "5": 3}
    assert config.mlflow.run_name == "12:30"
    assert config.mlflow.tags == {"day": "2024-01-05", "version": "1.0"}
    assert load_config(write(tmp_path, to_yaml(config))) == config


@pytest.mark.parametrize(
    ("override", "value"),
    [
        ("training.cos_lr=yes", True),
        ("training.cos_lr=off", False),
        ("training.lr0=1e-3", 0.001),
        ("training.lr0=1.0e-3", 0.001),
        ("training.lr0=.5", 0.5),
        ("training.epochs=010", 10),
        ("training.freeze=010", 10),
        ("training.cache=no", False),
        ("training.cache=OFF", False),
        ("training.cache=ram", "ram"),
        ("training.device=0", 0),
        ("training.device=cpu", "cpu"),
        ("training.max_time_hours=1.50", 1.5),
        ("training.max_time_hours=null", None),
        ("model.pretrained=no", False),
        ("model.pretrained=Off", False),
        ("model.pretrained=010", "010"),
        ("package.confidence=0.50", 0.5),
        ("package.class_agnostic=yes", True),
        ("package.weights=no", False),
        ("mlflow.run_name=2024", "2024"),
        ("mlflow.run_name=", None),
    ],
)
def test_words_become_what_is_wanted(tmp_path: Path, override: str, value: object) -> None:
    section, _, name = override.partition("=")[0].partition(".")
    config = load_config(write(tmp_path, MINIMAL), [override])
    assert getattr(getattr(config, section), name) == value
    assert type(getattr(getattr(config, section), name)) is type(value)
    assert load_config(write(tmp_path, to_yaml(config))) == config


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"none\.yaml does not exist"):
        load_config(tmp_path / "none.yaml")
    with pytest.raises(ConfigError, match="is a folder"):
        load_config(tmp_path)


def test_flatten_keeps_every_value() -> None:
    assert flatten({"a": {"b": 1, "c": {"d": [1, 2]}}, "e": {}}) == {"a.b": 1, "a.c.d": [1, 2], "e": {}}
