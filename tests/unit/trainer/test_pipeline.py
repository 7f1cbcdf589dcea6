from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import pytest

from handful_core.errors import DataError, UnavailableError
from handful_core.interruption import INTERRUPTION
from handful_trainer.pipeline import stages
from handful_trainer.pipeline.job import TrainingJob
from handful_trainer.pipeline.run_folder import RunState, create_run, unfinished_run
from handful_trainer.pipeline.signals import sigterm_raises
from handful_trainer.tasks.detection import ultralytics
from handful_trainer.tasks.detection.settings import DetectionConfig
from handful_trainer.tracking import managed_run as managed_run_module


class Marks:
    """Stands for what tells MLflow: it remembers the marks of a run."""

    def __init__(self, *_: object) -> None:
        self.said: list[object] = []

    def status(self, status: str) -> None:
        self.said.append(status)

    def tags(self, tags: dict[str, str]) -> None:
        self.said.append(tags)

    def close(self) -> bool:
        return True

    def done(self) -> None: ...


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("becomes", [RuntimeError, SystemError, ImportError, OSError, DataError])
def test_an_interrupted_run_is_no_failed_one(
    monkeypatch: pytest.MonkeyPatch, number: signal.Signals, becomes: type[Exception]
) -> None:
    marks = Marks()
    monkeypatch.setattr(managed_run_module, "open_tracker", lambda *_: marks)
    monkeypatch.setattr(managed_run_module, "RunReaper", Marks)
    with (
        INTERRUPTION.noted(),
        sigterm_raises(),
        pytest.raises(KeyboardInterrupt, match="what a library made of it"),
        managed_run_module.managed_run("", "run", Path("journal")),
    ):
        _interrupt(number, becomes("what a library made of it"))
    assert marks.said == ["RUNNING", "KILLED"]


def _interrupt(number: signal.Signals, becomes: Exception) -> None:
    try:
        signal.raise_signal(number)
    except KeyboardInterrupt:
        raise becomes from None


@pytest.mark.parametrize("error", [RuntimeError("x"), DataError("x")])
def test_a_failed_run_is_no_interrupted_one(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    marks = Marks()
    monkeypatch.setattr(managed_run_module, "open_tracker", lambda *_: marks)
    monkeypatch.setattr(managed_run_module, "RunReaper", Marks)
    with (
        INTERRUPTION.noted(),
        sigterm_raises(),
        pytest.raises(type(error)),
        managed_run_module.managed_run("", "run", Path("journal")),
    ):
        raise error
    assert marks.said == ["RUNNING", {"failure": "x"}, "FAILED"]


CONFIG = DetectionConfig.model_validate({"dataset": {"source": "sample"}})


@pytest.mark.parametrize("has_captured", [False, True])
def test_sheets_with_captured_pictures_are_not_logged(tmp_path: Path, *, has_captured: bool) -> None:
    folder = create_run(tmp_path, "run", CONFIG)
    (folder.path / "yolo").mkdir()
    plots = [folder.path / "yolo" / name for name in ("results.png", "train_batch0.jpg", "results.csv")]
    for plot in plots:
        cv2.imwrite(str(plot), np.zeros((64, 64, 3), np.uint8)) if plot.suffix != ".csv" else plot.touch()
    logged: list[str] = []
    tracker = SimpleNamespace(artifact=lambda path, _: logged.append(path.name))
    dataset = SimpleNamespace(has_captured=has_captured)
    stages._log_plots(TrainingJob(CONFIG, dataset, folder, tmp_path, ""), tracker)  # type: ignore[arg-type]
    assert ("train_batch0.jpg" in logged, plots[1].exists()) == (not has_captured, not has_captured)
    assert {"results.png", "results.csv"} <= {*logged}


def test_a_training_that_mlflow_did_not_take_up_is_found_by_resume(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    @contextmanager
    def lost_at_the_end(*_: object, **__: object) -> Iterator[SimpleNamespace]:
        yield SimpleNamespace(metrics=print)
        raise UnavailableError("MLflow does not take up what the training wrote")

    monkeypatch.setattr(ultralytics, "configure_ultralytics", lambda _: None)
    monkeypatch.setattr(stages, "managed_run", lost_at_the_end)
    for step in ("_describe", "_train", "_package", "_publish"):
        monkeypatch.setattr(stages, step, lambda *_, **__: None)
    folder = create_run(tmp_path, "run", CONFIG)
    folder.save(RunState(run_id="r1", dataset=tmp_path))
    job = TrainingJob(CONFIG, SimpleNamespace(), folder, tmp_path, "")  # type: ignore[arg-type]
    with pytest.raises(UnavailableError):
        stages._run(job, [], resume=False)
    assert unfinished_run(tmp_path) == folder
