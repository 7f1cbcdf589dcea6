"""Files of weights that hold code: it never runs, and one line says what is wrong."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from fakes.hostile import hostile_checkpoint, hostile_pickle
from fakes.packages import build_package
from handful_core.errors import ConfigError, DataError
from handful_core.runtime.model import load_model
from handful_trainer.tasks.classification.network import read_weights
from handful_trainer.tasks.classification.training import checkpoint as classification_checkpoint
from handful_trainer.tasks.classification.training.weights import _read
from handful_trainer.tasks.detection.export import write_checkpoint
from handful_trainer.tasks.detection.parity import UltralyticsReference
from handful_trainer.tasks.detection.settings import DetectionConfig
from handful_trainer.tasks.detection.train import _checkpoint
from handful_trainer.tasks.detection.ultralytics import (
    UnsafeWeightsError,
    configure_ultralytics,
    new_model,
    open_network,
    read_checkpoint,
    refuse_misfits,
)
from support.small_training import small_folder

Hostile = Callable[[Path], Path]


@pytest.fixture
def trace(tmp_path: Path) -> Path:
    return tmp_path / "trace"


@pytest.fixture(params=["beside a network", "alone", "a bare pickle"])
def hostile(request: pytest.FixtureRequest, tmp_path: Path, trace: Path) -> Hostile:
    """Writes one of them."""
    configure_ultralytics(tmp_path / "home")
    from ultralytics import YOLO

    def write(path: Path) -> Path:
        if request.param == "a bare pickle":
            return hostile_pickle(path, trace)
        network = {"model": YOLO("yolo11n.yaml").model} if request.param == "beside a network" else {}
        return hostile_checkpoint(path, trace, **network)

    return write


def test_the_files_are_hostile(hostile: Hostile, tmp_path: Path, trace: Path) -> None:
    import torch

    with suppress(RuntimeError):  # Of a bare pickle, once its code has run.
        torch.load(hostile(tmp_path / "weights.pt"), weights_only=False)
    assert trace.read_text() == "code ran"


def test_a_detector_begins_with_no_such_file(hostile: Hostile, tmp_path: Path, trace: Path) -> None:
    weights = hostile(tmp_path / "weights.pt")
    network = new_model(DetectionConfig.model_validate({"dataset": {"source": "sample"}}))
    with pytest.raises(DataError, match="holds more than a network's weights") as caught:
        refuse_misfits(network, weights, "models:/fingers/1")
    assert "\n" not in str(caught.value)
    assert not trace.exists()


@pytest.mark.parametrize("read", [read_checkpoint, open_network])
def test_no_reader_runs_it(read: Callable[[Path], object], hostile: Hostile, tmp_path: Path, trace: Path) -> None:
    with pytest.raises(UnsafeWeightsError):
        read(hostile(tmp_path / "weights.pt"))
    assert not trace.exists()


def test_ultralytics_itself_reads_no_such_file(hostile: Hostile, tmp_path: Path, trace: Path) -> None:
    weights = hostile(tmp_path / "weights.pt")
    from ultralytics import YOLO
    from ultralytics.utils.torch_utils import strip_optimizer

    with pytest.raises(TypeError):
        YOLO(str(weights))
    with pytest.raises(TypeError):
        YOLO("yolo11n.yaml").load(str(weights))
    assert strip_optimizer(weights) == {}, "at the end of a training"
    assert not trace.exists()


def test_the_flag_holds_where_ultralytics_was_imported_before(tmp_path: Path) -> None:
    from ultralytics.nn import tasks

    tasks.SAFE_LOAD = False
    configure_ultralytics(tmp_path)
    assert tasks.SAFE_LOAD is True


def test_a_detector_goes_on_with_no_such_checkpoint(
    hostile: Hostile, tmp_path: Path, trace: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    hostile(tmp_path / "last.pt")
    hostile(tmp_path / "best.pt")
    assert _checkpoint(tmp_path) is None
    assert capsys.readouterr().err.count("left aside") == 2
    assert not trace.exists()


def test_no_such_file_is_packaged(hostile: Hostile, tmp_path: Path, trace: Path) -> None:
    with pytest.raises(UnsafeWeightsError):
        write_checkpoint(hostile(tmp_path / "best.pt"), tmp_path / "weights.pt")
    assert not trace.exists()
    assert not (tmp_path / "weights.pt").exists()


def test_no_parity_check_runs_it(hostile: Hostile, tmp_path: Path, trace: Path) -> None:
    model = load_model(build_package(tmp_path / "package"), 1)
    with pytest.raises(UnsafeWeightsError):
        UltralyticsReference(model, hostile(tmp_path / "best.pt"))
    assert not trace.exists()


@pytest.mark.parametrize("name", ["weights.pth", "weights.pt", "weights.safetensors"])
def test_a_classifier_begins_with_no_such_file(hostile: Hostile, tmp_path: Path, trace: Path, name: str) -> None:
    with pytest.raises(ConfigError, match="holds no weights that can be read"):
        _read(hostile(tmp_path / name))
    assert not trace.exists()


def test_a_classifier_goes_on_with_no_such_checkpoint(
    hostile: Hostile, tmp_path: Path, trace: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert classification_checkpoint.last_checkpoint(hostile(tmp_path / "last.ckpt")) is None
    assert "left aside" in capsys.readouterr().err
    assert not trace.exists()


def test_no_such_file_becomes_a_classifiers_package(hostile: Hostile, tmp_path: Path, trace: Path) -> None:
    with pytest.raises(DataError, match="holds no weights of a classifier"):
        read_weights(hostile(tmp_path / "best.safetensors"))
    assert not trace.exists()


def test_an_activation_in_a_networks_description_is_not_evaluated(tmp_path: Path, trace: Path) -> None:
    """Ultralytics evaluates this text when it builds a network of a checkpoint's description."""
    configure_ultralytics(tmp_path / "home")
    from ultralytics import YOLO
    from ultralytics.nn.tasks import DetectionModel

    network = YOLO("yolo11n.yaml").model
    description = network.yaml | {"activation": f"open({str(trace)!r}, 'w').write('code ran') and torch.nn.SiLU()"}
    with pytest.raises(TypeError, match="unsupported activation"):
        DetectionModel(description)
    assert not trace.exists()


def test_a_checkpoint_of_ultralytics_own_is_read_as_ever(tmp_path: Path) -> None:
    configure_ultralytics(tmp_path / "home")
    import torch
    from ultralytics import YOLO

    network = YOLO("yolo11n.yaml")
    network.save(tmp_path / "own.pt")
    shutil.copy(tmp_path / "own.pt", tmp_path / "again.pt")
    theirs, ours = open_network(tmp_path / "again.pt").model.state_dict(), network.model.state_dict()
    assert theirs.keys() == ours.keys()
    assert all(torch.allclose(theirs[key].float(), ours[key].float(), rtol=1e-3, atol=1e-3) for key in ours)


@pytest.mark.filterwarnings("ignore")  # Ultralytics' own, of so small a training.
def test_a_checkpoint_of_a_training_under_way_is_gone_on_with(tmp_path: Path) -> None:
    """It also holds the optimizer, the scaler and what the validation gave."""
    configure_ultralytics(tmp_path / "home")
    from ultralytics import YOLO

    data = small_folder(tmp_path / "data")
    words = {
        "data": str(data),
        "imgsz": 64,
        "batch": 2,
        "workers": 0,
        "plots": False,
        "device": "cpu",
        "verbose": False,
    }
    kept = tmp_path / "weights" / "last.pt"
    kept.parent.mkdir()

    def keep(trainer: Any) -> None:
        if trainer.epoch == 0:
            shutil.copy(trainer.last, kept)

    network = YOLO(str(data.parent / "small.yaml"), task="detect")
    network.add_callback("on_model_save", keep)
    network.train(epochs=2, project=str(tmp_path), name="run", **words)
    found = _checkpoint(kept.parent)
    assert found is not None
    assert (found.epochs_done, found.finished) == (1, False)
    again = open_network(kept)
    epochs: list[int] = []
    again.add_callback("on_train_epoch_end", lambda trainer: epochs.append(trainer.epoch))
    again.train(resume=True, **words)
    assert epochs == [1]
