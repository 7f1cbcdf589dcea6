"""Who deletes a captured picture finds it nowhere: real serving, monitor and MLflow, and a backup made later."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from fakes.packages import build_package, encode, picture
from handful_core.review import ReviewStore
from support.captured import draw_review
from support.mlflow_server import MlflowServer, free_port
from support.registering import register
from support.serving_process import ServingProcess
from support.waiting import until

pytestmark = pytest.mark.slow
_SECONDS = 90
_CAPTURE = {
    "HANDFUL_SERVING_CAPTURE": "unsure",
    "HANDFUL_SERVING_CAPTURE_THRESHOLD": "0.4",
    "HANDFUL_SERVING_CAPTURE_SHARE": "0",
    "HANDFUL_SERVING_PREDICTION_LOG": "true",
    "HANDFUL_SERVING_PREDICTION_LOG_SEGMENT_SECONDS": "0.5",
}
_JSON = {"Content-Type": "application/json"}


@pytest.fixture
def mlflow(tmp_path: Path) -> Iterator[MlflowServer]:
    server = MlflowServer(tmp_path / "mlflow").start()
    yield server
    server.stop()


@pytest.fixture
def monitor(mlflow: MlflowServer, tmp_path: Path) -> Iterator[str]:
    port = free_port()
    words = [sys.executable, "-m", "handful_core", "monitor", "watch", "--every", "1", "--port", str(port)]
    settings = {"HANDFUL_HOME": str(tmp_path / "serving" / "home"), "HANDFUL_MLFLOW_URI": mlflow.uri}
    with (tmp_path / "monitor.log").open("wb") as log:
        process = subprocess.Popen(words, env=os.environ | settings, stdout=log, stderr=log)
    yield f"http://127.0.0.1:{port}"
    process.kill()
    process.wait()


@pytest.fixture
def serving(mlflow: MlflowServer, monitor: str, tmp_path: Path) -> Iterator[ServingProcess]:
    register(mlflow.uri, build_package(tmp_path / "package", sharpness=2.4).root, aliases=["champion"])
    process = ServingProcess(tmp_path / "serving", mlflow.uri, _CAPTURE | {"HANDFUL_SERVING_MONITOR": monitor})
    process.start()
    yield process
    process.stop()


def ask(serving: ServingProcess, column: int) -> bool:
    data = encode(picture({(column, 2): "5"}))
    answer = httpx.post(f"{serving.url}/predict", content=data, headers={"Content-Type": "image/png"}, timeout=60)
    return bool(answer.raise_for_status().json()["kept_for_review"])


def traces(folder: Path, *words: bytes) -> list[str]:
    """Files below a folder that have one of the words in their name or content; of archives what is in them."""
    found = []
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        contents = {str(path.relative_to(folder)): path.read_bytes()}
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as archive:
                contents |= {f"{path.name}/{name}": archive.read(name) for name in archive.namelist()}
        found += [n for n, data in contents.items() if any(word in data or word in n.encode() for word in words)]
    return found


def handful(mlflow: MlflowServer, home: Path, *words: str) -> bool:
    settings = {"HANDFUL_MLFLOW_URI": mlflow.uri, "HANDFUL_HOME": str(home)}
    command = [sys.executable, "-m", "handful_core", *words]
    done = subprocess.run(command, check=False, env=os.environ | settings, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return True


def prepare_reviewed(mlflow: MlflowServer, home: Path) -> None:
    """A dataset of the reviewed pictures, on the machine that trains."""
    home.mkdir()
    config = home / "reviewed.yaml"
    config.write_text("dataset: {source: reviewed, model: fingers, test: true, keep_together: {near_duplicates: -1}}")
    handful(mlflow, home, "data", "prepare", "--config", str(config), "--set", 'dataset.classes=["1","2","3","4","5"]')


def test_a_deleted_picture_is_nowhere(
    mlflow: MlflowServer, serving: ServingProcess, monitor: str, tmp_path: Path
) -> None:
    until(lambda: httpx.get(f"{monitor}/health").is_success, "the monitor starts")
    until(lambda: ask(serving, 0), "something is captured")
    assert ask(serving, 3)
    assert ask(serving, 6)
    with ReviewStore.at(mlflow.uri) as store:
        until(lambda: len(store.pictures("fingers")) == 3, "the pictures came to MLflow")
        gone, *kept = store.pictures("fingers")
        jpeg = store.image(gone.id)
        store.write(draw_review(gone, by="somebody-who-said-so", annotation=gone.proposal))
        listed = httpx.get(f"{serving.url}/monitor/review/pictures", params={"model": "fingers", "status": "done"})
        assert [each["id"] for each in listed.json()["pictures"]] == [gone.id]
        content = (jpeg, gone.sha256.encode(), b"somebody-who-said-so")
        words = (gone.id.encode(), *content)
        before = traces(mlflow.root / "artifacts", *words)
        assert {Path(name).suffix for name in before} == {".jpg", ".json"}
        assert len(before) == 3
        for each in kept:
            store.write(draw_review(each, annotation=each.proposal))
        prepare_reviewed(mlflow, tmp_path / "training")
        assert traces(tmp_path / "training", gone.id.encode(), jpeg)

        answer = httpx.request("DELETE", f"{serving.url}/monitor/review/pictures/{gone.id}", headers=_JSON, timeout=60)
        assert answer.json() == {"deleted": 1}
        assert [each.id for each in store.pictures("fingers")] == [each.id for each in kept]
    (mark,) = traces(mlflow.root / "artifacts", *words)
    assert Path(mark).parts[-2:] == ("deleted", gone.id), "only its id stays, so that nobody brings it again"
    assert (mlflow.root / "artifacts" / mark).read_bytes() == b""
    assert traces(tmp_path / "serving" / "home", *words) == [], "spool and prediction log are there"
    # Logs of requests name the addresses that were asked for, with the random id.
    assert traces(tmp_path / "serving", *content) == []
    assert not any(word in (tmp_path / "monitor.log").read_bytes() for word in words)
    assert not any(word in (mlflow.root / "mlflow.db").read_bytes() for word in words)

    assert handful(mlflow, tmp_path / "training", "data", "purge")
    assert traces(tmp_path / "training", gone.id.encode(), jpeg, b"somebody-who-said-so") == []
    assert traces(tmp_path / "training", kept[0].id.encode()), "what was fetched of the others is there"

    exported = [sys.executable, "-m", "handful_core", "export", "--out", str(tmp_path / "backup" / "b.zip")]
    (tmp_path / "backup").mkdir()
    settings = {"HANDFUL_MLFLOW_URI": mlflow.uri, "HANDFUL_HOME": str(tmp_path / "elsewhere")}
    subprocess.run(exported, env=os.environ | settings, check=True, capture_output=True, timeout=300)
    assert traces(tmp_path / "backup", kept[0].id.encode()), "the others are in it"
    assert traces(tmp_path / "backup", *content) == []


def test_all_are_deleted_also_what_waits_on_a_server_s_disk(
    mlflow: MlflowServer, serving: ServingProcess, monitor: str, tmp_path: Path
) -> None:
    spool = tmp_path / "serving" / "home" / "review"
    until(lambda: httpx.get(f"{monitor}/health").is_success, "the monitor starts")
    until(lambda: ask(serving, 0), "something is captured")
    with ReviewStore.at(mlflow.uri) as store:
        until(lambda: store.pictures("fingers"), "the picture came to MLflow")
        mlflow.stop()
        assert ask(serving, 4), "answers go on"
        until(lambda: list(spool.glob("*/*.jpg")), "the picture is on the disk")
        serving.stop()
        (waiting,) = spool.glob("*/*.jpg")
        jpeg = waiting.read_bytes()
        mlflow.start()
        assert httpx.delete(f"{monitor}/review/pictures", params={"model": "fingers"}, timeout=60).json() == {
            "deleted": 1
        }
        serving.start()
        until(lambda: not list(spool.glob("*/*.jpg")), "the picture is gone from the disk")
        assert store.pictures("fingers") == []
        assert traces(mlflow.root / "artifacts", jpeg, waiting.stem.encode()) == []
        assert traces(tmp_path / "serving" / "home", jpeg, waiting.stem.encode()) == []
        until(lambda: ask(serving, 7), "what comes later is kept")
        until(lambda: len(store.pictures("fingers")) == 1, "what comes later came to MLflow")
