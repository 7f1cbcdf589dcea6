"""Which of torchrun's processes this is, and what they cannot share."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from handful_core.errors import ConfigError
from handful_trainer.pipeline import stages
from handful_trainer.pipeline.run_folder import RunState, create_run
from handful_trainer.pipeline.torchrun import ProcessGroup, refuse_torchrun
from handful_trainer.tasks.classification.training.placement import placement
from handful_trainer.tasks.detection.settings import DetectionConfig
from support.small_leaves import leaf_config

SECOND = {"TORCHELASTIC_RUN_ID": "1", "RANK": "1", "WORLD_SIZE": "4", "LOCAL_RANK": "1", "LOCAL_WORLD_SIZE": "2"}
GROUP = ProcessGroup(1, 4, 1, 2)


def test_torchrun_says_which_process_this_is() -> None:
    assert ProcessGroup.of(SECOND) == GROUP
    assert GROUP.machines == 2
    assert ProcessGroup.of({"RANK": "1", "WORLD_SIZE": "4"}) is None, "others use these names, too"
    assert ProcessGroup.of({**SECOND, "WORLD_SIZE": "1"}) is None, "one process trains as ever"


def test_each_process_has_its_share_of_the_devices(monkeypatch: pytest.MonkeyPatch) -> None:
    place = placement(leaf_config(training={"batch": 8}), GROUP)
    assert (place.accelerator, place.ranks, place.rank) == ("cpu", 4, 1)
    told = place.trainer_arguments(freezes=False)
    assert (told["devices"], told["num_nodes"]) == (2, 2)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert placement(leaf_config(training={"batch": 8, "device": "auto"}), GROUP).accelerator == "cuda"


@pytest.mark.parametrize(
    ("settings", "line"),
    [
        ({"batch": 6}, "6 images cannot be shared out to 4 processes alike"),
        ({"batch": 4}, "4 images cannot be shared out to 4 processes alike, two at least"),
        ({"batch": 8, "device": "0"}, "torchrun gives each process its device"),
        ({"batch": 8, "device": "auto"}, "torchrun started 2 processes here, and there are 1 CUDA devices"),
    ],
)
def test_what_cannot_be_shared_out_is_told_before_anything_is_done(
    settings: dict[str, object], line: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    monkeypatch.setattr(stages, "find_experiment", lambda *_: "1")
    for begin in (stages.start, stages.follow):
        with pytest.raises(ConfigError, match=line):
            begin(leaf_config(training=settings), tmp_path, "http://mlflow", group=GROUP)
    assert not list(tmp_path.iterdir())


def test_a_detector_is_trained_by_one_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stages, "find_experiment", lambda *_: "1")
    config = DetectionConfig.model_validate({"dataset": {"source": "sample"}})
    with pytest.raises(ConfigError, match="task: detect is trained by one process, and torchrun started 4"):
        stages.start(config, tmp_path, "http://mlflow", group=GROUP)


def test_what_is_left_after_the_training_is_for_one_process(tmp_path: Path) -> None:
    config = leaf_config(training={"batch": 8})
    folder = create_run(tmp_path, "leaves", config)
    folder.save(RunState(run_id="1", dataset=tmp_path, trained=True))
    for go_on in (stages.resume, stages.follow_resumed):
        with pytest.raises(ConfigError, match="has trained already, and the rest is for one process"):
            go_on(folder, config, tmp_path, "http://mlflow", group=GROUP)


def test_other_commands_are_refused_once_for_all(monkeypatch: pytest.MonkeyPatch) -> None:
    refuse_torchrun("handful tune")
    for name, value in SECOND.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(ConfigError, match="handful tune is for one process, and torchrun started several"):
        refuse_torchrun("handful tune")
