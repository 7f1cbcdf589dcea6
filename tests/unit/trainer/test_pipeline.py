from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

import pytest

from handful_core.errors import UnavailableError
from handful_trainer.pipeline import stages
from handful_trainer.pipeline.job import TrainingJob
from handful_trainer.pipeline.run_folder import RunState, create_run, unfinished_run
from handful_trainer.tasks.detection import ultralytics
from handful_trainer.tasks.detection.settings import DetectionConfig

CONFIG = DetectionConfig.model_validate({"dataset": {"source": "sample"}})


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
