"""A package that was made elsewhere, on its way into the registry."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import cv2
import numpy as np
import pytest
from mlflow.tracking import MlflowClient

from fakes.packages import CLASSES, build_package, encode, filled
from fakes.squares import write_squares
from handful_core.package import SeenImages, open_package, seen_by, zip_package
from handful_core.package.archive import describe_files, sha256_of
from handful_core.registry import Registry
from handful_core.runtime.model import load_model
from handful_trainer.tracking.managed_run import managed_run
from handful_trainer.tracking.mlflow_calls import ended_on_error, find_experiment, start_run
from support.mlflow_server import MlflowServer
from support.training import Trainer


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    zip_package(build_package(tmp_path / "made" / "package"), tmp_path / "elsewhere.zip")
    return tmp_path / "elsewhere.zip"


@pytest.fixture
def registry(shared_server: MlflowServer) -> Iterator[Registry]:
    with Registry(shared_server.uri) as registry:
        yield registry


def test_a_package_is_measured_and_becomes_champion(trainer: Trainer, archive: Path, registry: Registry) -> None:
    done = trainer.run("register", str(archive), "--data", str(trainer.dataset), "--name", trainer.name)
    result = json.loads(done.stdout)
    assert done.returncode == 0, done.stderr
    assert result["promoted"]
    assert registry.version(trainer.name, "champion").version == 1
    run = MlflowClient(trainer.uri).get_run(result["run_id"])
    assert run.info.status == "FINISHED"
    assert run.data.metrics["test/mAP50"] == result["metrics"]["mAP50"] > 0.9


def test_a_package_joins_a_run_that_is_there(trainer: Trainer, archive: Path, registry: Registry) -> None:
    client = MlflowClient(trainer.uri)
    run = client.create_run(client.create_experiment(trainer.name)).info.run_id
    done = trainer.run("register", str(archive), "--name", trainer.name, "--run", run)
    assert json.loads(done.stdout)["promoted"] is False
    assert registry.version(trainer.name, 1).run_id == run
    assert client.get_run(run).info.status == "RUNNING"
    client.set_terminated(run, "KILLED", end_time=1_700_000_000_000)
    assert trainer.run("register", str(archive), "--name", trainer.name, "--run", run).returncode == 0
    assert registry.version(trainer.name, 2).run_id == run
    info = client.get_run(run).info
    assert (info.status, info.end_time) == ("KILLED", 1_700_000_000_000)


def test_a_run_that_is_not_there_is_told(trainer: Trainer, archive: Path) -> None:
    done = trainer.run(
        "register", str(archive), "--data", str(trainer.dataset), "--name", trainer.name, "--run", "0" * 32
    )
    assert done.returncode == 1
    assert "refuses" in done.stderr
    assert f"Run with id={'0' * 32} not found" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_registration_that_fails_leaves_a_failed_run(trainer: Trainer, tmp_path: Path) -> None:
    package = build_package(tmp_path / "uncounted" / "package", counts={})
    words = ("--data", str(trainer.dataset), "--name", trainer.name, "--experiment", trainer.name)
    done = trainer.run("register", str(package.root), *words, "--metric", "count_accuracy")
    assert done.returncode == 3
    run = trainer.mlflow_run()
    assert run.info.status == "FAILED"
    assert run.info.end_time
    assert done.stderr.splitlines()[-1] == f"error: {run.data.tags['failure']}"
    assert "the test split gives no count_accuracy" in run.data.tags["failure"]


def test_a_registration_that_is_stopped_leaves_a_killed_run(trainer: Trainer, tmp_path: Path) -> None:
    run_id = start_run(trainer.uri, find_experiment(trainer.uri, trainer.name), "register", {})
    with pytest.raises(KeyboardInterrupt), managed_run(trainer.uri, run_id, tmp_path / "journal.jsonl"):
        raise KeyboardInterrupt
    run = trainer.mlflow_run()
    assert (run.info.status, "failure" in run.data.tags) == ("KILLED", False)


def test_a_name_that_no_model_can_have_is_told_before_anything_is_done(trainer: Trainer, archive: Path) -> None:
    done = trainer.run("register", str(archive), "--name", "a/b", "--experiment", trainer.name)
    assert done.returncode == 2
    assert "model_name" in done.stderr
    assert MlflowClient(trainer.uri).get_experiment_by_name(trainer.name) is None


def test_a_model_of_another_task_keeps_its_champion(trainer: Trainer, archive: Path, registry: Registry) -> None:
    words = ("register", str(archive), "--name", trainer.name, "--experiment", trainer.name)
    assert trainer.run(*words).returncode == 0
    registry.promote(trainer.name, 1)
    registry.set_tags(trainer.name, 1, {"task": "classify"})
    done = trainer.run(*words)
    assert done.returncode == 2
    assert f"{trainer.name} is for the task classify, and this is for detect" in done.stderr
    assert [version.version for version in registry.versions(trainer.name)] == [1]
    trained = trainer.run("train", *trainer.anew(f"mlflow.model_name={trainer.name}"))
    assert trained.returncode == 2, "refused before anything is trained"
    assert "choose another name" in trained.stderr
    dry = trainer.run("train", *trainer.anew(f"mlflow.model_name={trainer.name}"), "--dry-run")
    assert dry.returncode == 2


def test_another_golden_image_leaves_the_dataset_at_home(trainer: Trainer, archive: Path, tmp_path: Path) -> None:
    drawn = tmp_path / "drawn.png"
    drawn.write_bytes(encode(filled("1")))
    output = tmp_path / "other.zip"
    done = trainer.run("package", "--package", str(archive), "--golden", str(drawn), "--output", str(output))
    assert done.returncode == 0, done.stderr
    with ZipFile(output) as other, ZipFile(archive) as own:
        pixels = cv2.imdecode(np.frombuffer(other.read("golden.png"), np.uint8), cv2.IMREAD_COLOR)
        assert other.read("golden.png") != own.read("golden.png")
        assert other.read("model.onnx") == own.read("model.onnx")
    assert (pixels == filled("1")).all()
    with open_package(output) as package:
        load_model(package)  # It gives the golden image's answer, or it would be refused.


def test_a_golden_image_that_is_not_there_is_told(trainer: Trainer, archive: Path, tmp_path: Path) -> None:
    done = trainer.run(
        "package", "--package", str(archive), "--golden", "none.png", "--output", str(tmp_path / "o.zip")
    )
    assert done.returncode == 3
    assert done.stderr.strip() == "error: none.png does not exist: name an image file with --golden"


def test_a_list_of_seen_images_can_be_made_complete(trainer: Trainer, archive: Path, tmp_path: Path) -> None:
    other = write_squares(tmp_path / "other", ({(7, 7): "1"}, {(7, 6): "2"}))
    words = ("--seen", str(trainer.dataset), "--seen", str(other), "--output", str(tmp_path / "listed.zip"))
    done = trainer.run("package", "--package", str(archive), *words)
    assert done.returncode == 0, done.stderr
    files = [p for root in (trainer.dataset, other) for s in ("train", "val") for p in (root / "images" / s).iterdir()]
    with open_package(tmp_path / "listed.zip") as package, open_package(archive) as before:
        assert seen_by(package).phashes.keys() == {sha256_of(path) for path in files}
        assert (seen_by(package).complete, seen_by(before).complete) == (True, False)
        load_model(package)


def test_a_damaged_list_is_refused_before_anything_is_done(trainer: Trainer, archive: Path, tmp_path: Path) -> None:
    with open_package(archive) as package:
        root = Path(shutil.copytree(package.root, tmp_path / "damaged"))
    listed = SeenImages({"a" * 64: 1}).write(root)
    (root / "seen.csv").write_text("sha256,phash\n0,0\n")
    content = json.loads((root / "manifest.json").read_text())
    content["seen"] = listed.model_dump()
    content["files"] |= {"seen.csv": describe_files(root)["seen.csv"].model_dump()}
    (root / "manifest.json").write_text(json.dumps(content))
    done = trainer.run("register", str(root), "--name", trainer.name, "--experiment", trainer.name)
    assert done.returncode == 4
    assert done.stderr.splitlines()[-1].startswith("error: seen.csv, the list of seen images in ")
    assert MlflowClient(trainer.uri).get_experiment_by_name(trainer.name) is None


def test_a_challenger_on_overlapping_data_is_compared_on_the_rest(
    trainer: Trainer, tmp_path: Path, registry: Registry
) -> None:
    """The champion was trained on 16 of the 36 test images: another split of a grown dataset gives such."""
    old = write_squares(tmp_path / "old", [{(column, row): "2"} for column in range(8) for row in range(2)])
    new = write_squares(
        tmp_path / "new", [{(c, 0): "1", (7 - c, r): "3"} for c in range(5) for r in range(3, 7)], splits=("test",)
    )
    own = write_squares(tmp_path / "own", [{(c, 7): "5", (c, 5): "4", (c + 2, 3): "2"} for c in range(6)])
    for number in range(16):
        for kind, suffix in (("images", "png"), ("labels", "txt")):
            shutil.copy(old / kind / "train" / f"{number}.{suffix}", new / kind / "test" / f"old-{number}.{suffix}")

    def registered(name: str, classes: tuple[str, ...], data: Path) -> dict[str, Any]:
        made = build_package(tmp_path / name / "package", classes=classes, golden=False).root
        listed = tmp_path / f"{name}.zip"
        assert trainer.run("package", "--package", str(made), "--seen", str(data), "-o", str(listed)).returncode == 0
        words = ("--data", str(new), "--name", trainer.name, "--min-images", "20", "--metric", "count_accuracy")
        done = trainer.run("register", str(listed), *words)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)["gate"]  # type: ignore[no-any-return]

    assert registered("first", tuple(reversed(CLASSES)), old)["decision"] == "promoted"
    gate = registered("second", CLASSES, own)
    assert (gate["decision"], gate["compared"], gate["left_out"]) == ("promoted", 20, {"champion": 16})
    assert (gate["champion"], gate["challenger"], gate["interval"]) == (0, 1, [1, 1])
    tags = registry.version(trainer.name, "champion").tags
    assert (tags["gate.compared"], json.loads(tags["gate.left_out"])) == ("20", {"champion": 16})
    assert "20 of 36 test images are new to both (16 that champion 1 has seen left out)" in tags["gate.reason"]


@pytest.mark.parametrize(
    ("error", "status"), [(KeyboardInterrupt(), "KILLED"), (OSError(28, "No space left on device"), "FAILED")]
)
def test_a_run_that_could_not_begin_is_ended(trainer: Trainer, error: BaseException, status: str) -> None:
    run_id = start_run(trainer.uri, find_experiment(trainer.uri, trainer.name), "begun", {})
    with pytest.raises(type(error)), ended_on_error(trainer.uri, run_id):
        raise error
    assert MlflowClient(trainer.uri).get_run(run_id).info.status == status
