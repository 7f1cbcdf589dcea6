"""A week of a camera in which nothing changes, through `watch` itself, with time compressed; then a change.

Only MLflow is in memory: segments on disk, references out of a package, verdicts and their history are the real ones.
"""

from __future__ import annotations

import gzip
import tempfile
import uuid
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np

from fakes.packages import build_package
from fakes.registry import FakeMlflow
from handful_core.package import ProfileSpec, write_package
from handful_core.package.archive import describe_files
from handful_core.profile import Feature, FeatureValue, LogRow, Profile
from handful_core.registry import Registry
from handful_core.registry.monitoring import MonitoringExperiments
from handful_monitor.history import VerdictHistory
from handful_monitor.judge import Judge
from handful_monitor.log import PredictionLog
from handful_monitor.references import References
from handful_monitor.settings import MonitorSettings
from handful_monitor.watch import Watch

_MINUTES, _ROWS = 15, 300
"""One window; rows in it. Serving logs 450 at most."""
_WINDOWS = 7 * 24 * 60 // _MINUTES
_REFERENCE = 300
_MODEL, _SOURCE = "fingers", "camera-1"
_MOST_WINDOWS_OF_CHANGE = 10
Rows = Sequence[dict[str, FeatureValue]]


class Replay:
    """A camera's rows in 15 minutes, and what `watch` says of them."""

    def __init__(self, folder: Path, features: Sequence[Feature], reference: Rows) -> None:
        package = build_package(folder / "package", name=_MODEL)
        Profile.of_rows("detect", features, {"val": list(reference)}).write(package.root)
        update = {"profile": ProfileSpec(images=len(reference)), "files": describe_files(package.root)}
        package = write_package(package.root, package.manifest.model_copy(update=update))
        mlflow = FakeMlflow()
        mlflow.register(package, _MODEL)
        self._digest = package.digest
        self._log = folder / "home" / "monitoring" / _MODEL / "log"
        self._log.mkdir(parents=True)
        self._minutes = 0
        self._begin = datetime.now(UTC) - timedelta(days=7, hours=12)
        experiments = MonitoringExperiments("http://mlflow", attempts=1, transport=mlflow.transport())
        references = References(Registry("http://mlflow", attempts=1, transport=mlflow.transport()))
        self._watch = Watch(
            _MODEL,
            PredictionLog(_MODEL, folder / "home", experiments),
            VerdictHistory(_MODEL, experiments),
            Judge(references),
            MonitorSettings(days=9, minutes=_MINUTES),
            clock=lambda: 60.0 * self._minutes,
        )

    def window(self, rows: Rows) -> str:
        """The verdict on the next 15 minutes."""
        begin = self._begin + timedelta(minutes=self._minutes)
        logged = [
            LogRow(uuid.uuid4().hex, begin + timedelta(seconds=i), _MODEL, "1", self._digest, _SOURCE, 1.0, row)
            for i, row in enumerate(rows)
        ]
        name = f"one-{begin:%Y%m%dT%H%M%SZ}-abcdef-{self._minutes // _MINUTES:04}.jsonl.gz"
        (self._log / name).write_bytes(gzip.compress("".join(row.line() for row in logged).encode(), 1))
        self._minutes += _MINUTES
        (verdict,) = self._watch.once()
        return verdict.state.value


def week_of_replay(features: Sequence[Feature], rows: dict[str, Any], seed: int) -> dict[str, int | None]:
    """A week of unchanged windows, then darker ones.

    Args:
        features: of the rows.
        rows: by kind: `usual` and `darker`, which belong together by their place.
        seed: of the draws.

    Returns:
        How many windows there were, how many alarms, and the how many-th darker window was the first `changed`.
    """
    random = np.random.default_rng([seed, 1_000_000])
    order = random.permutation(len(rows["usual"]))
    others = order[_REFERENCE:]
    with tempfile.TemporaryDirectory(prefix="handful-drift-week-") as folder:
        replay = Replay(Path(folder), features, [rows["usual"][i] for i in order[:_REFERENCE]])
        said = [replay.window([rows["usual"][i] for i in random.choice(others, _ROWS)]) for _ in range(_WINDOWS)]
        found = None
        for number in range(1, _MOST_WINDOWS_OF_CHANGE + 1):
            if replay.window([rows["darker"][i] for i in random.choice(others, _ROWS)]) == "changed":
                found = number
                break
    return {
        "windows": len(said),
        "steady": said.count("steady"),
        "alarms": said.count("changed"),
        "changed_in_window": found,
    }
