from pathlib import Path
from typing import Any

import pytest

from handful_core.errors import ConfigError
from handful_core.runtime.cpus import available_cpus
from handful_trainer.tasks.detection.settings import DetectionConfig
from handful_trainer.tasks.detection.ultralytics import (
    configure_ultralytics,
    new_model,
    refuse_misfits,
    training_arguments,
)


def config(**training: object) -> DetectionConfig:
    return DetectionConfig.model_validate({"dataset": {"source": "sample"}, "training": training})


@pytest.fixture(autouse=True)
def _ready(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    configure_ultralytics(tmp_path)


def test_every_argument_is_one_that_ultralytics_knows(tmp_path: Path) -> None:
    from ultralytics.cfg import get_cfg

    arguments = training_arguments(
        config(epochs=3, max_time_hours=1, freeze=2), tmp_path / "data.yaml", tmp_path / "yolo"
    )
    known = vars(get_cfg(overrides=arguments))
    assert known["time"] == 1
    assert known["freeze"] == 2
    assert known["device"] in {None, ""}


def test_a_device_is_passed_on(tmp_path: Path) -> None:
    assert training_arguments(config(device=[0, 1]), tmp_path, tmp_path)["device"] == [0, 1]


def test_all_processors_train() -> None:
    import torch
    from ultralytics.utils.torch_utils import select_device

    torch.set_num_threads(1)
    select_device("cpu")
    assert torch.get_num_threads() == available_cpus()


def test_ultralytics_does_not_log_by_itself() -> None:
    from ultralytics import settings

    assert settings["mlflow"] is False
    assert settings["sync"] is False


def test_an_unreadable_image_is_told_as_ever() -> None:
    from handful_core.vision.decode import UnsupportedImageError, read_header

    with pytest.raises(UnsupportedImageError, match="not an image"):
        read_header(b"text")


def test_weights_that_hardly_fit_are_refused(tmp_path: Path) -> None:
    import torch

    def network(family: str, size: str) -> Any:
        content = {"dataset": {"source": "sample"}, "model": {"family": family, "size": size}}
        return new_model(DetectionConfig.model_validate(content))

    nano = network("yolo11", "n")
    torch.save({"model": nano.model}, tmp_path / "own.pt")
    refuse_misfits(nano, tmp_path / "own.pt", "own.pt")
    refuse_misfits(network("yolo26", "n"), tmp_path / "own.pt", "own.pt")  # Three quarters of them fit.
    with pytest.raises(ConfigError, match=r"model\.pretrained: 1% of the network would begin with models:/hands/1"):
        refuse_misfits(network("yolo11", "s"), tmp_path / "own.pt", "models:/hands/1")
