"""Where things are kept: looked up in Postgres and MinIO themselves."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx

from support.stack import Stack
from support.waiting import until

_LIST = """
import json, os
from handful_mlflow.bucket import _client
from handful_mlflow.settings import ObjectStoreSettings
store = ObjectStoreSettings.read(os.environ)
pages = _client(store).get_paginator("list_objects_v2").paginate(Bucket=store.bucket)
print(json.dumps({item["Key"]: item["ETag"] for page in pages for item in page.get("Contents", ())}))
"""
_VERSIONS = "select name, version, source from model_versions order by name, version"
_ALIASES = "select name, alias, version from registered_model_aliases order by name, alias"


def _rows(stack: Stack, query: str) -> list[str]:
    words = ["exec", "-T", "postgres", "psql", "-U", "mlflow", "-d", "mlflow", "-tAc", query]
    return stack.compose_output(*words).split()


def _objects(stack: Stack) -> dict[str, str]:
    words = ["run", "--rm", "--no-deps", "--no-TTY", "--entrypoint", "python", "minio-init", "-c", _LIST]
    return dict(json.loads(stack.compose_output(*words)))


def test_metadata_is_in_postgres_and_artifacts_in_minio(stack: Stack) -> None:
    assert _rows(stack, _VERSIONS)[0].startswith("fingers|1|models:/m-")
    assert "fingers|champion|1" in _rows(stack, _ALIASES)
    assert [key for key in _objects(stack) if key.endswith("/artifacts/package/model.onnx")]


def test_the_bucket_is_nobody_else_s(stack: Stack) -> None:
    code = (
        "import urllib.request as r, urllib.error\n"
        "try: print(r.urlopen('http://minio:9000/mlflow?list-type=2', timeout=10).status)\n"
        "except urllib.error.HTTPError as error: print(error.code)"
    )
    done = stack.python("mlflow", code)
    assert done.stdout.strip() == "403", done.stderr


def test_both_outlive_down_and_up(
    stack: Stack, ask: Callable[..., httpx.Response], predict: Callable[..., dict[str, Any]]
) -> None:
    before, objects = [_rows(stack, _VERSIONS), _rows(stack, _ALIASES), predict()["version"]], _objects(stack)
    assert all(before)
    assert objects
    assert stack.run_script("down").returncode == 0
    assert not stack.containers()
    done = stack.run_script("up", "--no-build")
    assert done.returncode == 0, done.stderr
    # Serving has its packages in a volume: it answers as soon as it is up.
    assert [_rows(stack, _VERSIONS), _rows(stack, _ALIASES), predict()["version"]] == before
    now = _objects(stack)
    assert {path: now.get(path) for path in objects} == objects
    # A server that ends sends the rest of its prediction log.
    assert [path for path in set(now) - set(objects) if "/log/" not in path] == []


def test_a_backup_is_the_starter_model_of_a_stack_of_which_nothing_is_left(
    stack: Stack, ask: Callable[..., httpx.Response], predict: Callable[..., dict[str, Any]]
) -> None:
    before = [_rows(stack, _ALIASES), predict()["version"]]
    hashes = set(_objects(stack).values())
    done = stack.run_script("export", "--out", "all.zip")
    assert done.returncode == 0, done.stderr
    assert "exact: MLflow's database postgresql" in done.stdout + done.stderr
    backup = stack.root / "backups" / "all.zip"
    models = stack.root / "models"
    models.mkdir(exist_ok=True)
    shutil.copy(backup, models / "starter.zip")
    assert stack.run_script("down", "--delete-data").returncode == 0
    try:
        done = stack.run_script("up", "--no-build")
    finally:
        (models / "starter.zip").unlink()
    assert done.returncode == 0, done.stderr
    until(lambda: ask().is_success, "serving answers with the champion of the backup")
    assert [_rows(stack, _ALIASES), predict()["version"]] == before
    assert set(_objects(stack).values()) >= hashes
    # Once more: all of it is there already, and stays as it is.
    again = stack.run_script("import", "all.zip")
    assert again.returncode == 0, again.stderr
    assert [_rows(stack, _ALIASES), predict()["version"]] == before


def test_a_backup_takes_the_place_of_the_starter_in_a_new_stack(
    stack: Stack, ask: Callable[..., httpx.Response], predict: Callable[..., dict[str, Any]]
) -> None:
    counts = "select (select count(*) from runs), (select count(*) from experiments), (select count(*) from params)"
    before = [_rows(stack, _VERSIONS), _rows(stack, _ALIASES), _rows(stack, counts)]
    answer, objects = predict(), _objects(stack)
    done = stack.run_script("export", "--out", "lost.zip")
    assert done.returncode == 0, done.stderr
    assert stack.run_script("down", "--delete-data").returncode == 0
    models = stack.root / "models"
    models.mkdir(exist_ok=True)
    shutil.copy(Path(__file__).parents[2] / "models" / "starter.zip", models)
    try:
        done = stack.run_script("up", "--no-build")
    finally:
        (models / "starter.zip").unlink()
    assert done.returncode == 0, done.stderr
    assert "fingers|champion|1" in _rows(stack, _ALIASES)
    assert _rows(stack, _VERSIONS) != before[0]
    until(lambda: ask().is_success, "serving answers with the starter")
    # The commands of docs/howto/back-up-and-restore.md, After a loss.
    done = stack.run_script("import", "lost.zip")
    assert done.returncode == 0, done.stderr
    assert "gives way to the backup" in " ".join((done.stdout + done.stderr).split())
    assert [_rows(stack, _VERSIONS), _rows(stack, _ALIASES), _rows(stack, counts)] == before
    assert _objects(stack).keys() == objects.keys()
    until(lambda: predict()["detections"] == answer["detections"], "serving answers with the champion of the backup")
    again = stack.run_script("import", "lost.zip")
    assert "all of it is there already, nothing to do" in " ".join((again.stdout + again.stderr).split())
