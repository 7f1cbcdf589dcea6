"""One training on two machines, as torchrun starts it: here two of its agents with a home each, and Gloo."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import psutil
import pytest
from mlflow.tracking import MlflowClient

from fakes.exports import PicselliaExport
from handful_core.registry import Registry
from support.mlflow_server import MlflowServer, free_port
from support.small_leaves import COLOURS, leaf
from support.training import Trainer

pytestmark = pytest.mark.slow

EPOCHS = 3
METRICS = ("train/loss", "val/loss", "val/macro_f1", "val/accuracy", "lr")
Machines = Callable[..., list[subprocess.Popen[str]]]


@pytest.fixture(scope="module")
def leaves(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = PicselliaExport(tmp_path_factory.mktemp("export") / "leaves")
    for seed in range(60):
        name, asset_id = list(COLOURS)[seed % 3], f"asset-{seed:02d}"
        made.add(asset_id, content=cv2.imencode(".jpg", leaf(name, seed))[1].tobytes())
        made.annotations[asset_id][0]["classifications"] = [{"label": name}]
    return made.write()


@pytest.fixture
def trainer(tmp_path: Path, leaves: Path, shared_server: MlflowServer) -> Iterator[Trainer]:
    content = {
        "task": "classify",
        # No batch norms, whose statistics are of each process's own images.
        "model": {"architecture": "test_vit"},
        "dataset": {
            "source": "picsellia-export",
            "path": str(leaves),
            "classes": list(COLOURS),
            "split": {"train": 0.6, "val": 0.2, "test": 0.2},
        },
        "training": {"epochs": EPOCHS, "imgsz": 32, "batch": 6, "lr": 0.003, "device": "cpu"},
        "gate": {"min_images": 3},
    }
    made = Trainer(tmp_path, leaves, shared_server.uri, content, "val/macro_f1")
    yield made
    made.end_all()


@pytest.fixture
def machines(trainer: Trainer, tmp_path: Path) -> Machines:
    """Starts the agents of two machines. The second one may be given other words."""

    def start(*words: str, second: tuple[str, ...] = (), shared_home: bool = False) -> list[subprocess.Popen[str]]:
        port, started = free_port(), []
        for rank in (0, 1):
            trainer.environment["HANDFUL_HOME"] = str(trainer.home if shared_home else tmp_path / f"machine-{rank}")
            agent = ["--nnodes", "2", "--nproc-per-node", "1", "--node-rank", str(rank)]
            agent += ["--master-addr", "127.0.0.1", "--master-port", str(port), "-m", "handful_core"]
            more = words + (second if rank else ())
            command = [sys.executable, "-m", "torch.distributed.run", *agent, "train", "--json", *more]
            started.append(trainer.popen(command))
        return started

    return start


def _metrics(trainer: Trainer, run_id: str) -> dict[str, list[tuple[int, float]]]:
    client = MlflowClient(trainer.uri)
    return {name: [(m.step, m.value) for m in client.get_metric_history(run_id, name)] for name in METRICS}


def test_two_machines_train_what_one_would(trainer: Trainer, machines: Machines, tmp_path: Path) -> None:
    first, second = machines(*trainer.anew())
    outcome = trainer.finish(first)
    out, err = second.communicate(timeout=60)
    assert (second.returncode, out) == (0, ""), err
    run = trainer.mlflow_run()  # One, or this fails.
    assert (run.info.status, run.info.run_id) == ("FINISHED", outcome["run_id"])
    assert run.data.params["lightning.devices"] == "2"
    with Registry(trainer.uri) as registry:
        assert [version.version for version in registry.versions(trainer.name)] == [1]
    together = _metrics(trainer, outcome["run_id"])
    steps = {name: [step for step, _ in history] for name, history in together.items()}
    assert steps == {name: [1, 2, 3] for name in METRICS}, "each epoch once"
    assert not list((tmp_path / "machine-1").glob("runs/*")), "the second machine leaves its dataset and nothing else"

    trainer.environment["HANDFUL_HOME"] = str(tmp_path / "alone")
    alone = trainer.finish(trainer.start(*trainer.anew()))
    for name, history in _metrics(trainer, alone["run_id"]).items():
        assert [value for _, value in together[name]] == pytest.approx([value for _, value in history], abs=1e-4), name
    assert outcome["metrics"] == pytest.approx(alone["metrics"], abs=0.02)


def test_another_configuration_is_refused_by_all(trainer: Trainer, machines: Machines) -> None:
    both = machines(*trainer.anew(), second=("--set", "training.lr=0.001"))
    said = [process.communicate(timeout=120)[1] for process in both]
    assert all(process.returncode for process in both)
    assert all("process 1 of torchrun has other settings or images than the first one" in text for text in said)
    assert trainer.mlflow_run().info.status == "FAILED"


def test_a_killed_machine_ends_the_training_and_all_go_on_later(trainer: Trainer, machines: Machines) -> None:
    words = trainer.anew("training.epochs=40", "training.patience=0")
    first, second = machines(*words, shared_home=True)
    trainer.wait_for(lambda: len(trainer.epochs_logged()) >= 2, first)
    for process in psutil.Process(second.pid).children(recursive=True):  # A pod is killed whole: not its agent alone.
        process.kill()
    second.kill()
    _, err = first.communicate(timeout=120)
    assert first.returncode != 0
    assert "the training failed" in err
    second.communicate()

    done = len(trainer.epochs_logged())
    first, second = machines("--resume", shared_home=True)
    outcome = trainer.finish(first)
    assert second.wait(60) == 0
    assert outcome["version"] == 1
    assert trainer.epochs_logged() == list(range(1, 41)), f"{done} were there, and none is doubled"


def test_processes_of_one_machine_share_its_dataset(trainer: Trainer) -> None:
    agent = ["--standalone", "--nproc-per-node", "2", "-m", "handful_core"]
    process = trainer.popen([sys.executable, "-m", "torch.distributed.run", *agent, "train", "--json", *trainer.anew()])
    outcome = trainer.finish(process)
    assert outcome["version"] == 1
    assert len(list((trainer.home / "datasets").glob("leaves-*"))) == 1
