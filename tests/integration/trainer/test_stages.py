"""The stages of a training as commands of their own, as dvc.yaml runs them: without DVC."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cv2
import pytest
import yaml
from mlflow.tracking import MlflowClient

from handful_core.cli.main import _run
from handful_core.package.archive import read_folder, sha256_of
from handful_core.registry import Registry
from support.mlflow_server import MlflowServer
from support.small_leaves import COLOURS, NETWORK, leaf

Command = Callable[..., tuple[int, str]]


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("photos") / "leaves"
    for seed in range(48):
        name = list(COLOURS)[seed % 3]
        (root / name).mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(root / name / f"{seed}.png"), leaf(name, seed))
    return root


@pytest.fixture
def config(tmp_path: Path, photos: Path) -> Path:
    content = {
        "task": "classify",
        "model": {"architecture": NETWORK},
        "dataset": {"source": "folder", "path": str(photos), "split": {"train": 0.6, "val": 0.2, "test": 0.2}},
        "training": {"epochs": 2, "imgsz": 32, "batch": 6, "lr": 0.003, "device": "cpu"},
        "gate": {"min_images": 3, "margin": 0.01},
        "mlflow": {"experiment": tmp_path.name, "model_name": tmp_path.name},
    }
    path = tmp_path / "leaves.yaml"
    path.write_text(yaml.safe_dump(content))
    return path


@pytest.fixture
def handful(
    tmp_path: Path, shared_server: MlflowServer, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Iterator[Command]:
    """Runs a command in this process, in an empty folder; gives the exit code and what it printed."""
    monkeypatch.setenv("HANDFUL_HOME", str(tmp_path / "var"))
    monkeypatch.setenv("HANDFUL_MLFLOW_URI", shared_server.uri)
    monkeypatch.chdir(tmp_path)
    before = dict(os.environ)

    def run(*words: str | Path) -> tuple[int, str]:
        capsys.readouterr()
        code = _run([str(word) for word in words], debug=False)
        shown = capsys.readouterr()
        return code, shown.out if code == 0 else shown.err

    yield run
    os.environ.clear()
    os.environ.update(before)


def change(config: Path, **sections: Any) -> Path:
    """A copy of a configuration with other values."""
    content = yaml.safe_load(config.read_text())
    for name, values in sections.items():
        content[name] = content.get(name, {}) | values
    other = config.with_name(f"{'-'.join(sections)}.yaml")
    other.write_text(yaml.safe_dump(content))
    return other


def staged(handful: Command, config: Path) -> None:
    """Prepare and train, each alone."""
    assert handful("data", "prepare", "--config", config, "--output", "dataset", "--splits", "splits")[0] == 0
    code, said = handful(
        "train", "--config", config, "--data", "dataset", "--output", "run", "--train-only", "--json"
    )  # fmt: skip
    assert code == 0, said
    outcome = json.loads(said)
    assert (outcome["version"], outcome["metrics"]) == (None, {})


def test_stage_by_stage_comes_to_what_one_command_does(
    handful: Command, config: Path, tmp_path: Path, shared_server: MlflowServer
) -> None:
    code, said = handful("train", "--config", config, "--json")
    assert code == 0, said
    whole = json.loads(said)
    shutil.move("var", "elsewhere")
    staged(handful, config)
    before = {path: sha256_of(path) for path in Path("run").rglob("*") if path.is_file()}
    words = ("--run", "run", "--config", config, "--data", "dataset", "--output", "package")
    assert handful("package", *words)[0] == 0
    assert {path: sha256_of(path) for path in Path("run").rglob("*") if path.is_file()} == before
    assert handful("evaluate", "--package", "package", "--data", "dataset", "--output", "evaluation")[0] == 0
    code, said = handful("register", "package", "--config", config, "--data", "dataset", "--output", "out/done.json")
    assert code == 0, said

    package, done = read_folder(Path("package")), json.loads(Path("out/done.json").read_text())
    with Registry(shared_server.uri) as registry:
        first = read_folder(registry.download_package(registry.version(tmp_path.name, 1), tmp_path / "first"))
    assert {name: sha256_of(package.root / name) for name in ("model.onnx", "weights.safetensors", "seen.csv")} == {
        name: sha256_of(first.root / name) for name in ("model.onnx", "weights.safetensors", "seen.csv")
    }
    summary = json.loads(Path("evaluation/summary.json").read_text())
    assert summary == whole["metrics"] == done["metrics"]
    assert package.manifest.dataset == first.manifest.dataset
    assert (done["version"], done["promoted"], done["gate"]["margin"]) == (2, False, 0.01)
    run = MlflowClient(shared_server.uri).get_run(done["run_id"])
    assert run.info.run_id == package.manifest.mlflow_run_id
    assert run.info.status == "FINISHED"
    assert {"val/macro_f1", "test/macro_f1"} <= set(run.data.metrics)

    lines = Path("evaluation/predictions.csv").read_text().splitlines()
    rows = [dict(zip(lines[0].split(","), line.split(","), strict=True)) for line in lines[1:]]
    assert len(rows) == sum(path.is_file() for path in Path("dataset/test").rglob("*.png"))
    right = sum(row["actual"] == row["predicted"] for row in rows)
    assert right / len(rows) == pytest.approx(summary["accuracy"])

    again = handful(
        "register", "package", "--config", change(config, gate={"margin": 0.5}), "--data", "dataset", "--json"
    )
    assert (again[0], json.loads(again[1])["version"]) == (0, 2), "the same package is the same version"
    code, said = handful("register", "package", "--name", tmp_path.name, "--json")
    assert (code, json.loads(said)["version"]) == (0, 3), "without a configuration, as before"


def test_a_package_whose_run_this_mlflow_does_not_have_gets_a_run(
    handful: Command, config: Path, own_server: MlflowServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    staged(handful, config)
    assert handful("package", "--run", "run", "--output", "package.zip")[0] == 0, "all that it needs is in the run"
    own = json.loads(Path("run/state.json").read_text())["run_id"]
    monkeypatch.setenv("HANDFUL_MLFLOW_URI", own_server.uri)
    code, said = handful("register", "package.zip", "--config", config, "--data", "dataset", "--json")
    assert code == 0, said
    assert json.loads(said)["run_id"] != own
    assert json.loads(said)["promoted"]


def test_what_does_not_fit_together_is_told(handful: Command, config: Path, photos: Path, tmp_path: Path) -> None:
    staged(handful, config)
    other = change(config, training={"lr": 0.001})
    package, train = ("package", "--output", "package", "--run", "run"), ("train", "--train-only", "--config")
    shutil.copytree("run", "stopped")
    state = json.loads(Path("stopped/state.json").read_text())
    Path("stopped/state.json").write_text(json.dumps(state | {"trained": False, "finished": False}))
    prepared = handful("data", "prepare", "--config", config, "--output", "other", "--set", "dataset.seed=3")
    assert prepared[0] == 0
    for words, code, line in (
        ((*package, "--config", other, "--data", "dataset"), 2, "come from another dataset or from other settings"),
        ((*package, "--data", "other"), 2, "come from another dataset or from other settings"),
        ((*package, "--data", "nowhere"), 3, "nowhere"),
        (("package", "--output", "package", "--run", "stopped"), 3, "has not ended"),
        (("package", "--output", "package", "--run", "dataset"), 2, "is no folder of a training"),
        ((*package, "--package", "x"), 2, "give one of the three"),
        (("package", "--output", "package", "--package", "x", "--config", config), 2, "--config is for --run"),
        ((*train, config, "--data", photos), 3, "was not prepared by Handful"),
        ((*train, change(config, dataset={"name": "beans"}), "--data", "dataset"), 2, "with the name leaves"),
        ((*train, config, "--data", "dataset", "--output", photos), 6, "exists already"),
        (("train", "--resume", "--train-only"), 2, "leave out all but --run"),
        (("register", "p.zip", "--config", config, "--margin", "0.1"), 2, "--margin and --config both say"),
        (("register", "p.zip", "--config", config, "--output", tmp_path), 2, "is a folder"),
    ):
        found = handful(*words)
        assert (found[0], line in found[1]) == (code, True), found
        assert found[1].count("\n") == 1, found
    assert not Path("package").exists()
    assert len(list(photos.rglob("*.png"))) == 48


def test_a_damaged_package_says_so_and_makes_no_result(handful: Command, config: Path) -> None:
    Path("broken").mkdir()
    code, _ = handful("register", "broken", "--config", config, "--output", "done.json")
    assert code == 4
    assert not Path("done.json").exists()


def test_a_training_in_an_empty_home_keeps_the_champions_splits_or_tells_what_it_moves(
    handful: Command, config: Path, tmp_path: Path
) -> None:
    code, said = handful("train", "--config", config, "--json")
    assert (code, json.loads(said)["promoted"]) == (0, True)
    words = [sys.executable, "-m", "handful_core", "train", "--config", str(config)]
    lost, other = ({"HANDFUL_HOME": str(tmp_path / name)} for name in ("lost", "other"))
    again = subprocess.run([*words, "--dry-run"], env=os.environ | lost, capture_output=True, text=True, check=True)
    assert f"images stay in the splits that {tmp_path.name} version 1, the champion, had them in" in again.stderr
    anew = [*words, "--train-only", "--output", "run", "--set", "dataset.seed=3"]
    moved = subprocess.run(anew, env=os.environ | other, capture_output=True, text=True, check=True)
    assert re.search(rf"warning: \d+ of \d+ images that tested {tmp_path.name} version 1", moved.stderr)
