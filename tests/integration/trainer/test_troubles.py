"""What goes wrong in the middle of a training: a clear line, and a run that is marked as what happened."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import time
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import yaml
from mlflow.entities import Experiment, Run
from mlflow.tracking import MlflowClient

from handful_trainer.tracking.mlflow_calls import find_experiment
from support.mlflow_server import MlflowServer
from support.small_disk import small_disk
from support.training import Trainer

LONG = ("training.epochs=200", "package.weights=false")


def _failed(trainer: Trainer, process: subprocess.Popen[str], code: int) -> str:
    """The last line of a training that failed, whose run says so."""
    _, err = process.communicate(timeout=300)
    assert process.returncode == code, err
    assert "Traceback" not in err
    assert _ended(trainer).info.status == "FAILED"
    return err.strip().splitlines()[-1]


def _ended(trainer: Trainer) -> Run:
    """The run once it is marked: the watchdog may need a moment."""
    until = time.monotonic() + 60
    while (run := trainer.mlflow_run()).info.status == "RUNNING" and time.monotonic() < until:
        time.sleep(0.2)
    return run


@pytest.mark.parametrize("words", [(), ("--dry-run",)])
def test_a_gate_that_nothing_could_pass_is_told_before_the_training(trainer: Trainer, words: tuple[str, ...]) -> None:
    done = trainer.run("train", *trainer.anew("gate.metric=count_accuracy", "dataset.counts={}"), *words)
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1].startswith("error: gate.metric is count_accuracy, but no class")
    assert not (trainer.home / "runs").exists()


def test_a_loss_that_is_no_number(trainer: Trainer) -> None:
    line = _failed(trainer, trainer.start(*trainer.anew("training.epochs=20", "training.cls=1e39")), 3)
    assert line == "error: the loss is NaN or infinite: lower training.lr0, or look at the boxes of the dataset"
    assert "the loss is NaN or infinite" in trainer.mlflow_run().data.tags["failure"]


def _damage(image: Path) -> None:
    image.write_bytes(b"no image")


@pytest.mark.parametrize(
    "spoil", [Path.unlink, pytest.param(_damage, marks=pytest.mark.slow)], ids=["gone", "unreadable"]
)
def test_images_that_are_lost_under_way(trainer: Trainer, spoil: Callable[[Path], None]) -> None:
    process = trainer.start(*trainer.anew(*LONG))
    trainer.wait_for(lambda: len(trainer.epochs_logged()) >= 1, process)
    for image in trainer.home.glob("datasets/*/images/train/*"):
        spoil(image)
    assert _failed(trainer, process, 3).startswith("error: the dataset cannot be read (")


def test_an_experiment_that_another_makes_in_the_same_moment_is_taken_up(
    shared_server: MlflowServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    theirs = MlflowClient(shared_server.uri).create_experiment(tmp_path.name)
    asked: list[str] = []
    look = MlflowClient.get_experiment_by_name

    def look_too_early(client: MlflowClient, name: str) -> Experiment | None:
        asked.append(name)
        return None if len(asked) == 1 else look(client, name)

    monkeypatch.setattr(MlflowClient, "get_experiment_by_name", look_too_early)
    assert find_experiment(shared_server.uri, tmp_path.name) == theirs


@pytest.mark.slow
def test_a_training_that_gets_no_better_ends_early(trainer: Trainer) -> None:
    """It begins with a model that reads hands already, and a learning rate at which it learns nothing more."""
    (package,) = [name for name in _starter().namelist() if name.endswith("package/weights.pt")]
    weights = _starter().extract(package, trainer.config.parent)
    content = yaml.safe_load(trainer.config.read_text())
    content["dataset"] = {"source": "sample", "sample": {"images": 60}}
    content["model"] = {"pretrained": weights}
    content["training"] |= {"epochs": 40, "patience": 2, "imgsz": 224, "optimizer": "SGD", "lr0": 1e-9}
    content["training"]["warmup_epochs"] = 0
    trainer.config.write_text(yaml.safe_dump(content))
    trainer.finish(trainer.start(*trainer.anew()), 900)
    values = [m.value for m in MlflowClient(trainer.uri).get_metric_history(_ended(trainer).info.run_id, "val/mAP50")]
    assert max(values) > 0.2
    assert 3 <= len(values) < 40
    assert _ended(trainer).info.status == "FINISHED"


def _starter() -> zipfile.ZipFile:
    return zipfile.ZipFile(Path(__file__).parents[3] / "models" / "starter.zip")


@pytest.mark.slow
def test_two_trainings_at_once_do_not_mix(trainer: Trainer) -> None:
    both = [trainer.start(*trainer.anew(f"training.seed={seed}")) for seed in (1, 2)]
    outcomes = [trainer.finish(process) for process in both]
    assert len({outcome["run_id"] for outcome in outcomes}) == 2
    assert {Path(outcome["folder"]).name for outcome in outcomes} == {"run", "run-2"}
    assert {outcome["version"] for outcome in outcomes} == {1, 2}
    client = MlflowClient(trainer.uri)
    for seed, outcome in zip((1, 2), outcomes, strict=True):
        assert client.get_run(outcome["run_id"]).data.params["training.seed"] == str(seed)
        steps = [metric.step for metric in client.get_metric_history(outcome["run_id"], "val/mAP50")]
        assert steps == [1, 2]


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A disk with room for little more than the beginning of a training."""
    with small_disk(tmp_path / "disk") as folder:
        yield folder


def test_a_full_disk(make_trainer: Callable[[str], Trainer], shared_server: MlflowServer, disk: Path) -> None:
    trainer = make_trainer(shared_server.uri)
    trainer.environment["HANDFUL_HOME"] = str(disk)
    process = trainer.start(*trainer.anew(*LONG))
    assert _failed(trainer, process, 6) == (
        "error: the disk is full: make room, then go on with handful train --resume"
    )


@pytest.mark.slow
def test_kills_at_any_moment_leave_one_run_with_one_curve(trainer: Trainer) -> None:
    chance = random.Random(20)  # noqa: S311  # No secret, moments.
    process = trainer.start(*trainer.anew("training.epochs=12", "package.weights=false"))
    for _ in range(6):
        trainer.wait_for((trainer.home / "runs" / "run" / "state.json").exists, process)
        time.sleep(chance.uniform(0, 14))
        if process.poll() is not None:
            break
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        process = trainer.start("--resume")
    trainer.finish(process)
    run = trainer.mlflow_run()
    assert run.info.status == "FINISHED"
    assert sorted(set(trainer.epochs_logged())) == list(range(1, 13))
