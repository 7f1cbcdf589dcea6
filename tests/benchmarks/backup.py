"""How fast `handful export` is, beside mlflow-export-import, on the same server.

    python tests/benchmarks/backup.py            # 1,000 runs, 2,000,000 points, 100 versions of 5 MB: 15 minutes, 2 GB
    python tests/benchmarks/backup.py --quick    # 50 runs, 50,000 points, 10 versions of 1 MB: does it work?
    python tests/benchmarks/backup.py --json     # figures and ratios for a program

The server is MLflow on SQLite and a folder. Points are written by SQL: logging them would take half an hour. All three
write to the same disk, one after the other; times are those of whole processes. The other tool has a virtual
environment of its own, made beside the server; its newest release lacks one of its dependencies, which is added.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sqlite3
import subprocess
import sys
import tempfile
import time
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from handful_core.console import print_json, print_table, say
from support.mlflow_server import MlflowServer

_PEER = ("mlflow-export-import==1.2.0", "mlflow==3.17.2", "tabulate")
_MODEL = "bench"
_START = 1_700_000_000_000


@dataclass(frozen=True)
class Size:
    """How much the server holds."""

    runs: int
    metrics: int
    steps: int
    versions: int
    megabytes: int

    @property
    def points(self) -> int:
        """Of all metrics."""
        return self.runs * self.metrics * self.steps


FULL = Size(runs=1000, metrics=20, steps=100, versions=100, megabytes=5)
QUICK = Size(runs=50, metrics=10, steps=100, versions=10, megabytes=1)


@dataclass(frozen=True)
class Outcome:
    """What an export took, and what it has."""

    seconds: float
    runs: int
    points: int
    versions: int
    artifact_bytes: int

    def row(self, name: str) -> tuple[object, ...]:
        """For a person."""
        megabytes = f"{self.artifact_bytes / 1e6:,.0f} MB"
        return name, f"{self.seconds:.1f} s", f"{self.runs:,}", f"{self.points:,}", self.versions, megabytes


def fill(root: Path, size: Size) -> None:
    """Fill the database and the folder of a server that does not run."""
    with sqlite3.connect(root / "mlflow.db") as database:
        database.execute(
            "INSERT INTO experiments (experiment_id, name, workspace, artifact_location, lifecycle_stage,"
            " creation_time, last_update_time) VALUES (1, 'bench', 'default', 'mlflow-artifacts:/1', 'active', ?, ?)",
            (_START, _START),
        )
        database.execute(
            "INSERT INTO registered_models (workspace, name, creation_time, last_updated_time)"
            " VALUES ('default', ?, ?, ?)",
            (_MODEL, _START, _START),
        )
        for number in range(size.runs):
            run = uuid.uuid4().hex
            _fill_run(database, run, number, size)
            if number < size.versions:
                _fill_version(database, root / "artifacts", run, number + 1, size.megabytes)
    database.close()


def _fill_run(database: sqlite3.Connection, run: str, number: int, size: Size) -> None:
    start = _START + number * 1000
    database.execute(
        "INSERT INTO runs (run_uuid, name, source_type, user_id, status, start_time, end_time, lifecycle_stage,"
        " artifact_uri, experiment_id) VALUES (?, ?, 'LOCAL', 'bench', 'FINISHED', ?, ?, 'active', ?, 1)",
        (run, f"run {number}", start, start + 900, f"mlflow-artifacts:/1/{run}/artifacts"),
    )
    database.executemany(
        "INSERT INTO params (key, value, run_uuid) VALUES (?, ?, ?)", [(f"param {k}", str(k), run) for k in range(20)]
    )
    database.execute("INSERT INTO tags (key, value, run_uuid) VALUES ('mlflow.runName', ?, ?)", (f"run {number}", run))
    for metric in range(size.metrics):
        points = [
            (f"metric {metric}", (number * 31 + metric * 7 + step) / 997, start + step, step, 0, run)
            for step in range(size.steps)
        ]
        database.executemany(
            "INSERT INTO metrics (key, value, timestamp, step, is_nan, run_uuid) VALUES (?, ?, ?, ?, ?, ?)", points
        )
        database.execute(
            "INSERT INTO latest_metrics (key, value, timestamp, step, is_nan, run_uuid) VALUES (?, ?, ?, ?, ?, ?)",
            points[-1],
        )


def _fill_version(database: sqlite3.Connection, artifacts: Path, run: str, number: int, megabytes: int) -> None:
    source = f"mlflow-artifacts:/1/{run}/artifacts/model"
    database.execute(
        "INSERT INTO model_versions (workspace, name, version, creation_time, last_updated_time, current_stage, source,"
        " storage_location, run_id, status) VALUES ('default', ?, ?, ?, ?, 'None', ?, ?, ?, 'READY')",
        (_MODEL, number, _START + number, _START + number, source, source, run),
    )
    folder = artifacts / "1" / run / "artifacts" / "model"
    folder.mkdir(parents=True)
    (folder / "model.onnx").write_bytes(os.urandom(megabytes * 1_000_000))


def handful(root: Path, uri: str, target: Path, *words: str) -> Outcome:
    """`handful export`, and what its manifest says."""
    command = [sys.executable, "-m", "handful_core", "export", "--json", "--out", str(target), *words]
    environment = os.environ | {"HANDFUL_MLFLOW_URI": uri, "HANDFUL_HOME": str(root / "var")}
    started = time.perf_counter()
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    seconds = time.perf_counter() - started
    if done.returncode:
        raise RuntimeError(done.stderr[-4000:])
    counts = json.loads(done.stdout)["counts"]
    return Outcome(seconds, counts["runs"], counts["metrics"], counts["model_versions"], counts["artifact_bytes"])


def peer(root: Path, uri: str, target: Path) -> Outcome:
    """The other tool, with its threads."""
    python = _peer_environment(root / "peer")
    command: list[str | Path] = [python.parent / "export-all", "--output-dir", target, "--use-threads", "True"]
    environment = {k: v for k, v in os.environ.items() if k not in {"PYTHONPATH", "VIRTUAL_ENV"}}
    environment |= {"MLFLOW_TRACKING_URI": uri, "MLFLOW_DISABLE_TELEMETRY": "true"}
    started = time.perf_counter()
    done = subprocess.run(command, env=environment, cwd=root, capture_output=True, text=True, check=False)
    seconds = time.perf_counter() - started
    if done.returncode:
        raise RuntimeError((done.stdout + done.stderr)[-4000:])
    return _outcome_of_peer(target, seconds)


def _outcome_of_peer(target: Path, seconds: float) -> Outcome:
    runs = [json.loads(path.read_text())["mlflow"] for path in target.glob("experiments/*/*/run.json")]
    points = sum(len(history) for run in runs for history in run["metrics"].values())
    files = [path for path in target.rglob("*") if path.is_file() and "artifacts" in path.parts]
    models = [json.loads(path.read_text())["mlflow"] for path in target.glob("models/*/model.json")]
    versions = sum(len(model["registered_model"].get("versions", ())) for model in models)
    return Outcome(seconds, len(runs), points, versions, sum(path.stat().st_size for path in files))


def _peer_environment(folder: Path) -> Path:
    python = folder / "bin" / "python"
    uv = Path(sys.executable).with_name("uv")
    constraints = Path(__file__).parents[2] / "constraints.txt"
    subprocess.run([uv, "venv", "--quiet", "--python", sys.executable, folder], check=True)
    words: list[str | Path] = [
        uv,
        "pip",
        "install",
        "--quiet",
        "--python",
        python,
        "--constraints",
        constraints,
        *_PEER,
    ]
    subprocess.run(words, check=True)
    return python


def measure(root: Path, size: Size) -> dict[str, Any]:
    """Fill a server and export it three ways."""
    server = MlflowServer(root / "server")
    server.start().kill()  # Makes the tables.
    say(f"filling: {size.runs:,} runs, {size.points:,} points, {size.versions} versions of {size.megabytes} MB")
    fill(server.root, size)
    server.start()
    try:
        database = f"sqlite:///{server.root / 'mlflow.db'}"
        exact_words = ("--database", database, "--artifacts", str(server.root / "artifacts"))
        exact = handful(root, server.uri, root / "exact.zip", *exact_words)
        say(f"exact: {exact.seconds:.1f} s")
        portable = handful(root, server.uri, root / "portable.zip")
        say(f"portable: {portable.seconds:.1f} s")
        other = peer(root, server.uri, root / "other")
        say(f"mlflow-export-import: {other.seconds:.1f} s")
    finally:
        server.kill()
    outcomes = {"exact": exact, "portable": portable, "mlflow_export_import": other}
    return {
        "machine": {"processors": os.cpu_count(), "python": platform.python_version(), "system": platform.platform()},
        "size": vars(size),
        "figures": {name: vars(outcome) for name, outcome in outcomes.items()},
        "ratios": {
            "exact_export_speedup": round(other.seconds / exact.seconds, 2),
            "portable_export_speedup": round(other.seconds / portable.seconds, 2),
        },
        "complete": {
            name: (o.runs, o.points, o.versions) == (size.runs, size.points, size.versions)
            and o.artifact_bytes >= size.versions * size.megabytes * 1_000_000
            for name, o in outcomes.items()
        },
    }


def main() -> None:
    """Run it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="a small server: does it work?")
    parser.add_argument("--json", action="store_true", help="print the result as JSON")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="handful-benchmark-") as folder:
        result = measure(Path(folder), QUICK if options.quick else FULL)
    if options.json:
        print_json(result)
        return
    columns = ("export", "time", "runs", "points", "versions", "artifacts", "complete")
    whole = {name: "yes" if complete else "no" for name, complete in result["complete"].items()}
    rows = [(*Outcome(**figures).row(name), whole[name]) for name, figures in result["figures"].items()]
    print_table("Exports of one server", columns, rows)
    for name, ratio in result["ratios"].items():
        say(f"{name}: {ratio}")


if __name__ == "__main__":
    main()
