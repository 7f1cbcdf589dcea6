from pathlib import Path

import pytest

from handful_core.errors import DataError, NotFoundError, ResourceError
from handful_core.package import SeenImages
from handful_trainer.pipeline.run_folder import (
    SEEN_BEFORE,
    RunFolder,
    RunState,
    create_run,
    open_run,
    unfinished_run,
)
from handful_trainer.tasks.detection.settings import DetectionConfig

CONFIG = DetectionConfig.model_validate({"dataset": {"source": "sample"}, "training": {"imgsz": 96}})


def test_a_name_that_is_taken_gets_a_number(tmp_path: Path) -> None:
    names = [create_run(tmp_path, "my run/1", CONFIG).path.name for _ in range(3)]
    assert names == ["my-run-1", "my-run-1-2", "my-run-1-3"]


def test_a_run_remembers_its_configuration_and_state(tmp_path: Path) -> None:
    folder = create_run(tmp_path, "run", CONFIG)
    state = RunState(run_id="abc", dataset=tmp_path, trained=True, version=3)
    folder.save(state)
    opened, config = open_run(folder.path)
    assert opened.state() == state
    assert config == CONFIG


def test_the_newest_unfinished_run_is_found(tmp_path: Path) -> None:
    for name, finished in (("one", False), ("two", False), ("three", True)):
        create_run(tmp_path, name, CONFIG).save(RunState(run_id=name, dataset=tmp_path, finished=finished))
    assert unfinished_run(tmp_path).path.name == "two"


def test_there_may_be_nothing_to_go_on_with(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="no unfinished training"):
        unfinished_run(tmp_path)


def test_a_damaged_state_is_refused(tmp_path: Path) -> None:
    folder = create_run(tmp_path, "run", CONFIG)
    (folder.path / "state.json").write_text("{")
    with pytest.raises(DataError, match="not a training that can go on"):
        folder.state()


def test_two_processes_do_not_train_in_one_folder(tmp_path: Path) -> None:
    folder = create_run(tmp_path, "run", CONFIG)
    with folder.locked(), pytest.raises(ResourceError, match="running already"), RunFolder(folder.path).locked():
        pytest.fail("the second got in")
    with folder.locked():
        pass


def test_a_run_remembers_what_its_first_weights_had_seen(tmp_path: Path) -> None:
    folder, seen = create_run(tmp_path, "run", CONFIG), SeenImages({"a" * 64: 5, "b" * 64: -1}, complete=False)
    folder.save(RunState(run_id="abc", dataset=tmp_path, seen_before=seen.write(folder.path, SEEN_BEFORE)))
    assert open_run(folder.path)[0].seen_before() == seen


def test_a_run_of_before_does_not_know_it(tmp_path: Path) -> None:
    folder = create_run(tmp_path, "run", CONFIG)
    (folder.path / "state.json").write_text('{"run_id": "abc", "dataset": "somewhere", "trained": true}')
    assert folder.seen_before() is None
