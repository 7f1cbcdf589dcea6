"""Reports in HTML, drawn by Evidently in an environment of its own: it needs an older pandas than MLflow's."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from handful_core.errors import ConfigError, HandfulError
from handful_core.profile import LogRow, Profile
from handful_monitor.domain.columns import Column
from handful_monitor.domain.window import Window

_PROGRAM = Path(__file__).with_name("evidently_report.py")
_SECONDS = 600


def find_evidently(setting: Path | None) -> Path | None:
    """The Python that has Evidently: the one that is set, or that of .venv-evidently beside this environment."""
    if setting is not None:
        return setting
    found = Path(sys.prefix).parent / ".venv-evidently" / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    return found if found.is_file() else None


def draw_report(python: Path | None, profile: Profile, rows: Sequence[LogRow]) -> bytes:
    """Evidently's report of rows against what their version was accepted on.

    Args:
        python: of the environment that has Evidently.
        profile: what is usual.
        rows: of one stream.

    Raises:
        ConfigError: there is no such environment.
        HandfulError: Evidently failed.
    """
    if python is None or not python.is_file():
        raise ConfigError(
            f"there is no Evidently at {python}" if python else "Evidently is not installed",
            "run PYTHONPATH=scripts python3 -m installer evidently, or set HANDFUL_MONITOR_EVIDENTLY to its Python",
        )
    with tempfile.TemporaryDirectory(prefix="handful-report-") as name:
        data, target = Path(name) / "data.json", Path(name) / "report.html"
        data.write_text(json.dumps(_content(profile, rows)), encoding="utf-8")
        done = subprocess.run(
            # Isolated: neither PYTHONPATH nor the current folder bring in anything of this environment.
            [python, "-I", "-W", "ignore", _PROGRAM, data, target],
            env={**os.environ, "DO_NOT_TRACK": "1", "HOME": name},
            capture_output=True,
            text=True,
            timeout=_SECONDS,
            check=False,
        )
        if done.returncode or not target.is_file():
            last = (done.stderr.strip().splitlines() or ["it said nothing"])[-1]
            raise HandfulError(f"Evidently failed ({last})", "see its words with --debug, or leave --html out")
        return target.read_bytes()


def _content(profile: Profile, rows: Sequence[LogRow]) -> dict[str, object]:
    window = Window.of(rows, profile.features)
    there = [feature for feature in profile.features if _varies(window.columns.get(feature.name))]
    length = min((len(window.columns[f.name]) for f in there), default=0)
    columns = {f.name: window.columns[f.name] for f in there if len(window.columns[f.name]) >= max(1, length)}
    return {
        "numbers": [f.name for f in there if f.kind != "category"],
        "words": [f.name for f in there if f.kind == "category"],
        "reference": {f.name: _plain(Column.of(f.kind, profile.columns[f.name])) for f in there},
        "current": {name: _plain(column)[:length] for name, column in columns.items()},
    }


def _varies(column: Column | None) -> bool:
    """Evidently fails on a column without any value."""
    return column is not None and (column.kind == "category" or bool(np.isfinite(column.values).any()))


def _plain(column: Column) -> list[object]:
    values: list[object] = column.values.tolist()
    return values if column.kind == "category" else [v if np.isfinite(v) else None for v in column.values.tolist()]
