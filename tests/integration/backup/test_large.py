"""Memory does not grow with what is backed up."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import psutil
import pytest

from support.backed_up_mlflow import Mlflow

_SIZE = 3 << 30
_LIMIT = 250_000_000
_RUN = "0" * 32


def _peak(words: list[str], environment: dict[str, str]) -> int:
    """The most memory that a command had, in bytes."""
    process = subprocess.Popen([sys.executable, "-m", "handful_core", *words], env=os.environ | environment)
    peak = 0
    done = threading.Event()

    def watch() -> None:
        nonlocal peak
        watched = psutil.Process(process.pid)
        while not done.is_set():
            try:
                peak = max(peak, watched.memory_info().rss)
            except psutil.NoSuchProcess:
                return
            time.sleep(0.01)

    watcher = threading.Thread(target=watch)
    watcher.start()
    code = process.wait()
    done.set()
    watcher.join()
    assert code == 0
    return peak


def _write_large(path: Path) -> None:
    """Noise, a piece of which comes again and again: it is what is large that counts."""
    path.parent.mkdir(parents=True)
    noise = os.urandom(16 << 20)
    with path.open("wb") as file:
        for _ in range(_SIZE // len(noise)):
            file.write(noise)


@pytest.mark.slow
@pytest.mark.parametrize("way", ["exact", "portable"])
def test_three_gigabytes_take_less_than_250_megabytes(tmp_path: Path, way: str) -> None:
    source, target = Mlflow.embedded(tmp_path / "source"), Mlflow.embedded(tmp_path / "target")
    for mlflow in (source, target):
        mlflow.server.start()
    try:
        run = source.server.root / "artifacts" / "0" / _RUN / "artifacts"
        _write_large(run / "weights.bin")
        _add_run(source)
        environment = {"HANDFUL_HOME": str(tmp_path / "var"), "HANDFUL_MLFLOW_URI": source.server.uri}
        backup = str(tmp_path / "b.zip")
        exact = way == "exact"
        peaks = {"export": _peak(["export", "--out", backup, *(source.exact if exact else [])], environment)}
        environment["HANDFUL_MLFLOW_URI"] = target.server.uri
        peaks["import"] = _peak(["import", backup, *(target.exact if exact else [])], environment)
        options = target.exact if exact else []
        peaks["verify"] = _peak(["verify", backup, "--server", *options], environment)
    finally:
        for mlflow in (source, target):
            mlflow.server.kill()
    assert max(peaks.values()) < _LIMIT, peaks
    assert Path(backup).stat().st_size > _SIZE


def _add_run(mlflow: Mlflow) -> None:
    import sqlite3

    with sqlite3.connect(mlflow.server.root / "mlflow.db") as database:
        database.execute(
            "INSERT INTO runs (run_uuid, name, source_type, user_id, status, start_time, end_time, lifecycle_stage,"
            " artifact_uri, experiment_id) VALUES (?, 'large', 'LOCAL', 'me', 'FINISHED', 1, 2, 'active', ?, 0)",
            (_RUN, f"mlflow-artifacts:/0/{_RUN}/artifacts"),
        )
    database.close()
