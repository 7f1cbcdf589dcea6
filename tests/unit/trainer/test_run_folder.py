from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from handful_core.errors import ConfigError, DataError, NotFoundError, ResourceError
from handful_core.package import SeenImages
from handful_trainer.pipeline.run_folder import (
    SEEN_BEFORE,
    RunFolder,
    RunState,
    create_run,
    move_run,
    open_run,
    recipe_of,
    unfinished_of,
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


def changed(**sections: Any) -> DetectionConfig:
    content = {"dataset": {"source": "sample"}, "training": {"imgsz": 96}}
    return DetectionConfig.model_validate(content | sections)


def test_a_training_that_ended_is_brought_to_its_place(tmp_path: Path) -> None:
    folder = create_run(tmp_path, "run", CONFIG)
    with folder.locked():
        folder.save(RunState(run_id="1", dataset=tmp_path, finished=True))
    moved = move_run(folder, tmp_path / "some" / "where")
    assert moved.state().run_id == "1"
    assert {path.name for path in moved.path.iterdir()} == {"config.yaml", "state.json"}
    assert not folder.path.exists()


@pytest.mark.parametrize("kind", ["file", "folder", "empty folder"])
def test_nothing_is_replaced_by_a_training(tmp_path: Path, kind: str) -> None:
    folder, place = create_run(tmp_path, "run", CONFIG), tmp_path / "place"
    if kind == "file":
        place.write_text("mine")
    else:
        place.mkdir()
    if kind == "folder":
        (place / "mine.jpg").touch()
    before = sorted(place.rglob("*"))
    with pytest.raises(ResourceError, match="exists already"):
        move_run(folder, place)
    assert folder.config.is_file()
    assert sorted(place.rglob("*")) == before


@pytest.mark.parametrize(
    ("state", "goes_on"),
    [
        ({}, True),
        ({"trained": True}, True),
        ({"finished": True}, False),
        ({"recipe": "another"}, False),
        ({"recipe": ""}, False),
    ],
)
def test_only_what_was_to_become_the_same_goes_on(tmp_path: Path, state: dict[str, Any], goes_on: bool) -> None:
    recipe = recipe_of(CONFIG, "f")
    create_run(tmp_path, "other", CONFIG).save(RunState(run_id="0", dataset=tmp_path))
    folder = create_run(tmp_path, "run", CONFIG)
    folder.save(RunState.model_validate({"run_id": "1", "dataset": tmp_path, "recipe": recipe} | state))
    assert unfinished_of(tmp_path, recipe) == (folder if goes_on else None)


def test_a_damaged_training_keeps_no_other_from_beginning(tmp_path: Path) -> None:
    broken = create_run(tmp_path, "broken", CONFIG)
    (broken.path / "state.json").write_text("{")
    assert unfinished_of(tmp_path, "r") is None


@given(
    first=st.fixed_dictionaries({"epochs": st.integers(1, 3), "seed": st.integers(0, 2)}),
    second=st.fixed_dictionaries({"epochs": st.integers(1, 3), "seed": st.integers(0, 2)}),
    fingerprints=st.tuples(st.sampled_from("ab"), st.sampled_from("ab")),
)
def test_a_recipe_is_the_same_for_the_same_settings_and_data(
    first: dict[str, int], second: dict[str, int], fingerprints: tuple[str, str]
) -> None:
    recipes = [recipe_of(changed(training=t), f) for t, f in zip((first, second), fingerprints, strict=True)]
    assert (recipes[0] == recipes[1]) == ((first, fingerprints[0]) == (second, fingerprints[1]))


@pytest.mark.parametrize(
    ("section", "matters"),
    [
        ({"gate": {"margin": 0.2}}, False),
        ({"mlflow": {"model_name": "others"}}, False),
        ({"package": {"weights": False}}, False),
        ({"augmentation": {"fliplr": 0.1}}, True),
        ({"model": {"size": "s"}}, True),
    ],
)
def test_a_recipe_holds_what_decides_the_weights(section: dict[str, Any], matters: bool) -> None:
    assert (recipe_of(changed(**section), "f") != recipe_of(CONFIG, "f")) == matters


def test_a_folder_without_a_training_is_said(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="is no folder of a training: name one of those in runs"):
        open_run(tmp_path)
