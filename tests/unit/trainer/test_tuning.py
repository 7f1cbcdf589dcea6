"""What a search refuses before its first trial, and that no trial is trained twice."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.trial import Trial, TrialState

from fakes.exports import yolo_folder
from handful_core.errors import ConfigError
from handful_trainer.config import TrainingConfig, load_config, with_values
from handful_trainer.dataset.prepared import PreparedDataset
from handful_trainer.tasks.detection.settings import DetectionConfig
from handful_trainer.tuning import SearchConfig, load_search, study
from handful_trainer.tuning.storage import OwnStorage
from handful_trainer.tuning.trial import StudyContext

ADAMW = {"training.optimizer": "AdamW"}
LR0 = {"training.lr0": {"low": 0.001, "high": 0.01, "log": True}}
SHIPPED = ("fingers", "picsellia", "sample", "starter")


def config(values: dict[str, Any] | None = None) -> TrainingConfig:
    return with_values(DetectionConfig.model_validate({"dataset": {"source": "sample"}}), values or {})


def search(spaces: dict[str, Any]) -> SearchConfig:
    return SearchConfig.model_validate({"search": spaces})


def refuse(base: dict[str, Any], spaces: dict[str, Any], dataset: PreparedDataset | None = None) -> None:
    search(spaces).fitted(config(base)).refuse_ineffective(config(base), dataset)


@pytest.mark.parametrize(
    ("base", "spaces", "line"),
    [
        ({}, LR0, "training.lr0 does nothing: training.optimizer is auto"),
        (
            ADAMW,
            LR0 | {"training.optimizer": {"choices": ["AdamW", "auto"]}},
            "training.lr0 does nothing: training.optimizer is auto, which sets the learning rate itself "
            "(in trials with training.optimizer auto)",
        ),
        (
            ADAMW | {"training.lr0": 0.001},
            {"training.optimizer": {"choices": ["SGD", "auto"]}},
            "training.lr0 does nothing: training.optimizer is auto",
        ),
        (
            {},
            {"training.epochs": {"low": 5, "high": 50}, "augmentation.mosaic": {"low": 0.0, "high": 1.0}},
            "augmentation.mosaic does nothing: augmentation.close_mosaic is 10, so many last epochs go without, and "
            "training.epochs is 5 (in trials with training.epochs 5)",
        ),
        (
            {},
            {"augmentation.close_mosaic": {"choices": [5, 100]}, "augmentation.mixup": {"low": 0.0, "high": 0.5}},
            "(in trials with augmentation.close_mosaic 100)",
        ),
        (
            {},
            {"augmentation.mosaic": {"choices": [0, 0.5]}, "augmentation.close_mosaic": {"low": 1, "high": 20}},
            "augmentation.close_mosaic does nothing",
        ),
        ({}, {"augmentation.erasing": {"low": 0.0, "high": 0.4}}, "augmentation.erasing does nothing"),
        ({}, {"training.patience": {"choices": [10, 100]}}, "(in trials with training.patience 100)"),
        ({"training.epochs": 3}, {"training.warmup_epochs": {"choices": [1, 3]}}, "is cut short: training.epochs is 3"),
        ({"training.lrf": 1}, {"training.cos_lr": {"choices": ["yes", "no"]}}, "training.cos_lr does nothing"),
        ({"model.pretrained": "yolo11n.pt"}, {"model.size": {"choices": ["n", "s"]}}, "the network is yolo11s"),
        ({}, {"dataset.seed": {"low": 0, "high": 9}}, "dataset.seed cannot be searched: trials share a dataset"),
        ({}, {"package.iou": {"low": 0.3, "high": 0.7}}, "package.iou cannot be searched"),
        ({}, {"gate.margin": {"choices": [0.1, 0.2]}}, "gate.margin cannot be searched"),
        ({}, {"training.workers": {"low": 0, "high": 8}}, "training.workers cannot be searched"),
        ({}, {"training.weight_decay": {"choices": ["1e-3", 0.001]}}, "training.weight_decay hold 0.001 twice"),
        ({}, {"augmentation.mosaic": {"choices": [0, 0.0]}}, "the choices of augmentation.mosaic hold 0.0 twice"),
        ({}, {"training.cos_lr": {"choices": ["no", False]}}, "the choices of training.cos_lr hold False twice"),
        ({}, {"training.cos_lr": {"choices": ["yes", True]}}, "the choices of training.cos_lr hold True twice"),
        ({}, {"training.batch": {"choices": [8, "many"]}}, "training.batch = 'many' does not fit"),
        ({}, {"training.batch": {"low": 0, "high": 8}}, "training.batch = 0"),
    ],
)  # fmt: skip
def test_a_search_that_finds_nothing_is_refused(base: dict[str, Any], spaces: dict[str, Any], line: str) -> None:
    with pytest.raises(ConfigError) as caught:
        refuse(base, spaces)
    assert line in str(caught.value)


@pytest.mark.parametrize(
    ("base", "spaces"),
    [
        (ADAMW, LR0),
        ({}, LR0 | {"training.optimizer": {"choices": ["AdamW", "SGD"]}}),
        ({"training.lr0": 0.001}, {"training.optimizer": {"choices": ["AdamW", "SGD"]}}),  # No trial has auto.
        ({}, {"augmentation.mosaic": {"low": 0.0, "high": 1.0}, "augmentation.close_mosaic": {"low": 1, "high": 20}}),
        ({}, {"training.lrf": {"low": 0.01, "high": 1.0}, "training.cos_lr": {"choices": ["yes", "no"]}}),
        ({}, {"model.size": {"choices": ["n", "s"]}}),
        ({}, {"training.seed": {"low": 0, "high": 5}}),
    ],
)  # fmt: skip
def test_a_search_that_can_find_something_is_let_through(
    base: dict[str, Any], spaces: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    refuse(base, spaces)
    assert capsys.readouterr().err == ""


def test_what_the_file_sets_in_vain_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    refuse({"training.lr0": 0.01}, {"training.batch": {"choices": [8, 16]}})
    assert "warning: training.lr0 does nothing: training.optimizer is auto" in capsys.readouterr().err
    # In some of the trials it does something.
    refuse({"augmentation.close_mosaic": 5}, {"augmentation.mosaic": {"choices": [0, 1]}})
    assert capsys.readouterr().err == ""


def test_what_needs_the_dataset_is_refused_once_it_is_there(tmp_path: Path) -> None:
    box = "0 0.5 0.5 0.25 0.5\n"
    pets = PreparedDataset.open(yolo_folder(tmp_path / "pets", {"train/a.jpg": box, "val/b.jpg": box}))
    spaces = {"training.momentum": {"low": 0.8, "high": 0.95}}
    refuse({}, spaces)
    with pytest.raises(
        ConfigError, match=r"training\.momentum does nothing: training\.optimizer is auto, which takes AdamW"
    ):
        refuse({}, spaces, pets)


@pytest.mark.parametrize("name", SHIPPED)
def test_the_shipped_search_does_what_it_says(repository: Path, name: str, capsys: pytest.CaptureFixture[str]) -> None:
    base = load_config(repository / "configs" / f"{name}.yaml")
    shipped = load_search(repository / "configs" / "search.yaml").fitted(base)
    shipped.refuse_ineffective(base)
    assert capsys.readouterr().err == ""
    assert "training.lr0" in shipped.search


def test_choices_are_what_the_settings_make_of_them(tmp_path: Path) -> None:
    file = tmp_path / "search.yaml"
    file.write_text(
        "search:\n  training.cos_lr: {choices: [yes, no]}\n  training.weight_decay: {choices: [1e-3, 1.0e-2, 0]}\n"
        "  training.lrf: {low: 1e-2, high: 1, log: yes}\n  training.batch: {choices: [4, 08]}\n"
    )
    spaces = load_search(file).fitted(config()).search
    assert spaces["training.cos_lr"].choices == (True, False)
    assert spaces["training.weight_decay"].choices == (0.001, 0.01, 0.0)
    assert spaces["training.batch"].choices == (4, 8)
    assert (spaces["training.lrf"].low, spaces["training.lrf"].high, spaces["training.lrf"].log) == (0.01, 1, True)


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("search: {a: {choices: [1]}, a: {choices: [2]}}", "(line 1, column 29: the key a is there twice"),
        ("- a", "holds no search: see configs/search.yaml"),
        ("search: {training.batch: {low: 3}}", "give low and high, or choices"),
    ],
)  # fmt: skip
def test_a_wrong_search_file_is_named_in_one_line(tmp_path: Path, text: str, line: str) -> None:
    file = tmp_path / "search.yaml"
    file.write_text(text)
    with pytest.raises(ConfigError) as caught:
        load_search(file)
    assert line in str(caught.value)


class Acted:
    """Trainings that are acted: the score is the batch, or what `scores` says."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.trained: list[dict[str, Any]] = []
        monkeypatch.setattr(study, "train_trial", self)

    def __call__(
        self, trial: Trial, made: TrainingConfig, values: dict[str, Any], context: StudyContext
    ) -> tuple[TrialState, float]:
        del trial, context
        self.trained.append(values)
        return TrialState.COMPLETE, float(made.training.batch)


@pytest.fixture
def storage(tmp_path: Path) -> OwnStorage:
    return OwnStorage(tmp_path / "study.journal")


def _go_on(storage: OwnStorage, spaces: dict[str, Any], trials: int, seed: int = 0) -> optuna.Study:
    made = optuna.create_study(direction="maximize", sampler=optuna.samplers.TPESampler(seed=seed))
    fitted = search(spaces).fitted(config())
    study._Search(config(), fitted, None, storage).go_on(made, trials)  # type: ignore[arg-type]
    return made


@pytest.mark.parametrize("seed", range(5))
def test_no_settings_are_trained_twice(monkeypatch: pytest.MonkeyPatch, storage: OwnStorage, seed: int) -> None:
    acted = Acted(monkeypatch)
    spaces = {"training.batch": {"choices": [4, 8, 16]}, "training.seed": {"low": 0, "high": 1}}
    made = _go_on(storage, spaces, 5, seed)
    assert len(acted.trained) == 5
    assert len({tuple(values.items()) for values in acted.trained}) == 5
    assert made.best_params["training.batch"] == 16


def test_a_search_ends_when_all_is_tried(
    monkeypatch: pytest.MonkeyPatch, storage: OwnStorage, capsys: pytest.CaptureFixture[str]
) -> None:
    acted = Acted(monkeypatch)
    _go_on(storage, {"training.batch": {"choices": [4, 8, 16]}, "training.lrf": {"low": 0.1, "high": 0.1}}, 20)
    assert sorted(values["training.batch"] for values in acted.trained) == [4, 8, 16]
    assert "there are no more than 3 trials: all combinations were tried" in capsys.readouterr().err


def test_a_search_that_was_begun_with_other_choices_is_named(
    monkeypatch: pytest.MonkeyPatch, storage: OwnStorage
) -> None:
    Acted(monkeypatch)
    made = _go_on(storage, {"training.batch": {"choices": [4, 8]}}, 1)
    spaces = search({"training.batch": {"choices": [4, 16]}})
    other = study._Search(config(), spaces, None, storage)  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match=r"begun with other choices .* give another --name"):
        other.go_on(made, 3)
