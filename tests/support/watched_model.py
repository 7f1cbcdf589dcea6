"""A registered version with a profile, and the log that a server might have written of it."""

from __future__ import annotations

import gzip
import uuid
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np

from fakes.packages import build_package
from handful_core.package import ProfileSpec, write_package
from handful_core.package.archive import describe_files
from handful_core.profile import Feature, LogRow, Profile
from handful_core.registry import Registry
from handful_core.registry.monitoring import DAY, KIND, PREDICTION_LOG, REPLICA, MonitoringExperiments
from handful_monitor.history import VerdictHistory
from handful_monitor.judge import Judge
from handful_monitor.log import PredictionLog
from handful_monitor.references import References
from handful_monitor.settings import MonitorSettings
from handful_monitor.watch import Watch
from support.registering import register

FEATURES = (Feature("brightness", "continuous"), Feature("detections", "count"), Feature("first_class", "category"))
NOW = datetime.now(UTC)


def features(count: int, seed: int, brightness: float = 0.5) -> list[dict[str, Any]]:
    random = np.random.default_rng(seed)
    return [
        {"brightness": round(float(b), 5), "detections": int(n), "first_class": "5" if n else ""}
        for b, n in zip(random.normal(brightness, 0.1, count), random.poisson(1, count), strict=True)
    ]


class WatchedModel:
    """A registered version with a profile, and a log."""

    def __init__(self, uri: str, folder: Path) -> None:
        self.name, self.home = f"watched-{uuid.uuid4().hex[:8]}", folder / "home"
        package = build_package(folder / "package")
        Profile.of_rows("detect", FEATURES, {"val": features(300, 0)}).write(package.root)
        update = {"profile": ProfileSpec(images=300), "files": describe_files(package.root)}
        self.digest = write_package(package.root, package.manifest.model_copy(update=update)).digest
        self.version = str(register(uri, package.root, self.name))
        self.experiments = MonitoringExperiments(uri, 60)
        self.registry = Registry(uri, 60)
        self._written = 0

    def close(self) -> None:
        """The connections."""
        self.experiments.close()
        self.registry.close()

    def segment(self, rows: Sequence[dict[str, Any]], source: str = "", digest: str = "") -> tuple[str, bytes]:
        """A closed segment's name and content."""
        self._written += 1
        begin = NOW - timedelta(hours=2) + timedelta(minutes=self._written)
        logged = [
            LogRow(uuid.uuid4().hex, begin + timedelta(milliseconds=i), self.name, self.version,
                   digest or self.digest, source, 1.0, row)
            for i, row in enumerate(rows)
        ]  # fmt: skip
        name = f"one-{begin:%Y%m%dT%H%M%SZ}-abcdef-{self._written:04}.jsonl.gz"
        return name, gzip.compress("".join(row.line() for row in logged).encode())

    def ship(self, segment: tuple[str, bytes]) -> None:
        """To MLflow."""
        tags = {KIND: PREDICTION_LOG, REPLICA: "one", DAY: NOW.date().isoformat()}
        run = next(self.experiments.runs(self.name, tags), None) or self.experiments.create(self.name, "log", tags)
        run.upload(f"log/{segment[0]}", segment[1])

    def spool(self, segment: tuple[str, bytes]) -> None:
        """On this machine."""
        folder = self.home / "monitoring" / self.name / "log"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / segment[0]).write_bytes(segment[1])

    def watch(self, minutes: float = 0) -> Watch:
        """A new process's."""
        log = PredictionLog(self.name, self.home, self.experiments)
        history = VerdictHistory(self.name, self.experiments)
        settings = MonitorSettings(minutes=minutes)
        return Watch(self.name, log, history, Judge(References(self.registry)), settings)

    def judged(self) -> list[int]:
        """Rows of every verdict that is kept."""
        found = VerdictHistory(self.name, self.experiments).all(NOW - timedelta(days=1))
        return [document["window"]["rows"] for _, document in found]
