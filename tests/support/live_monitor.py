"""The monitor's real HTTP interface on a port, with verdicts of its real judge on rows that are drawn here."""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Self

import numpy as np
import uvicorn

from handful_core.errors import NotFoundError
from handful_core.profile import Feature, LogRow, Profile
from handful_core.review import ReviewStore
from handful_monitor.api.app import create_app
from handful_monitor.api.state import ApiState
from handful_monitor.domain.comparison import Reference
from handful_monitor.domain.verdict import Stream
from handful_monitor.judge import Judge
from handful_monitor.references import AcceptedVersion, References
from handful_monitor.settings import MonitorSettings
from handful_monitor.standing import RunReference, Standing
from handful_monitor.traffic import TrafficCounter
from support.captured import review_store
from support.mlflow_server import free_port

FEATURES = (
    Feature("brightness", "continuous"),
    Feature("contrast", "continuous"),
    Feature("sharpness", "continuous"),
    Feature("blue_yellow", "continuous"),
    Feature("jpeg_quality", "continuous"),
    Feature("format", "category"),
    Feature("detections", "count"),
    Feature("first_class", "category"),
    Feature("score_mean", "continuous"),
)
_CLASSES = ("0", "1", "2", "3", "4", "5", "thumb")
_SECONDS = 60


def draw_features(count: int, seed: int, **shift: float) -> list[dict[str, Any]]:
    """Rows of a detector; `shift` moves a feature, in its own unit, `five` is how many times as often a 5 comes."""
    random = np.random.default_rng(seed)
    weights = np.array([1, 1, 1, 1, 1, shift.get("five", 1.0), 0.4])
    rows = []
    for classes, n in zip(
        random.choice(_CLASSES, (count, 1), p=weights / weights.sum()), random.poisson(1.2, count), strict=True
    ):
        row = {
            "brightness": random.normal(0.52, 0.09),
            "contrast": random.normal(0.2, 0.03),
            "sharpness": random.gamma(4, 0.05),
            "blue_yellow": random.normal(3, 2.5),
            "jpeg_quality": random.normal(88, 4),
            "score_mean": random.beta(9, 2) if n else None,
        }
        moved = {name: None if v is None else round(float(v) + shift.get(name, 0.0), 4) for name, v in row.items()}
        found = {"format": "JPEG", "detections": int(n), "first_class": str(classes[0]) if n else ""}
        rows.append(moved | found)
    return rows


class _Accepted(References):
    """What versions were accepted on, without a registry."""

    def __init__(self) -> None:
        profile = Profile.of_rows("detect", FEATURES, {"val": draw_features(400, 0)})
        self._accepted = AcceptedVersion("0", profile, Reference(profile.features, profile.columns))

    def of(self, model: str, version: str) -> AcceptedVersion:
        if version == "1":
            raise NotFoundError(f"the package of {model} version 1 has no profile", "package it again")
        return self._accepted


@dataclass
class LiveMonitor:
    """The monitor's HTTP interface, with a history that a test makes."""

    now: datetime = field(default_factory=lambda: datetime.now(UTC))
    port: int = field(default_factory=free_port)
    judge: Judge = field(default_factory=lambda: Judge(_Accepted()))
    reviews: ReviewStore = field(default_factory=review_store)

    def __post_init__(self) -> None:
        self.clear()
        self._server: uvicorn.Server | None = None

    @property
    def url(self) -> str:
        """Its address."""
        return f"http://127.0.0.1:{self.port}"

    def clear(self) -> None:
        """Know nothing."""
        self.standing, self.traffic = Standing(7), TrafficCounter(7)
        self.state = ApiState(MonitorSettings(), self.standing, self.traffic, "http://mlflow.example", self.reviews)
        if hasattr(self, "app"):
            self.app.state.monitor = self.state
        else:
            self.app = create_app(self.state)

    def say(
        self,
        stream: Stream,
        hours_ago: float,
        count: int = 260,
        seed: int = 1,
        *,
        confirmed: bool = True,
        **shift: float,
    ) -> Mapping[str, Any]:
        """Give a verdict on a window of rows; if `confirmed`, what is shifted differed in the window before, too."""
        at = self.now - timedelta(hours=hours_ago)
        rows = [
            LogRow(uuid.uuid4().hex, at - timedelta(seconds=2 * (count - i)), stream.model, stream.version, "0",
                   stream.source, 30.0, features)
            for i, features in enumerate(draw_features(count, seed, **shift))
        ]  # fmt: skip
        differed = ["first_class" if name == "five" else name for name in shift] if confirmed else []
        verdict = self.judge.next(stream, rows, differed)
        self.standing.keep(stream, at, verdict.document, RunReference("7", "0" * 32))
        self.traffic.count(rows)
        return verdict.document

    def __enter__(self) -> Self:
        config = uvicorn.Config(self.app, port=self.port, log_config=None, access_log=False)
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._server.run, name="live-monitor", daemon=True)
        self._thread.start()
        until = time.monotonic() + _SECONDS
        while not self._server.started:
            assert self._thread.is_alive(), "the monitor did not start"
            assert time.monotonic() < until, "the monitor did not start"
            time.sleep(0.01)
        return self

    def __exit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.should_exit = self._server.force_exit = True
        self._thread.join(_SECONDS)
