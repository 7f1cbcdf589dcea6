"""Prediction logs: closed segments in MLflow, and in the spool of a server on this machine."""

from __future__ import annotations

import contextlib
import logging
import os
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import quote, unquote

from handful_core.errors import DataError
from handful_core.profile import LogRow, read_rows
from handful_core.profile.rows import SUFFIX
from handful_core.registry.monitoring import DAY, KIND, PREDICTION_LOG, MonitoringExperiments

_FOLDER = "log"
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Segment:
    """A closed segment on this machine. Its name is unique for ever."""

    name: str
    path: Path

    def rows(self) -> list[LogRow] | None:
        """Its rows, of a damaged one those before the damage, which is told; None if it has just been shipped."""
        rows: list[LogRow] = []
        try:
            for row in read_rows(self.path):
                rows.append(row)  # noqa: PERF402  # Those before a damage are kept.
        except DataError as error:
            if isinstance(error.__cause__, FileNotFoundError):
                return None
            _log.warning("%s: the %d rows before are compared", error.message, len(rows))
        return rows


class PredictionLog:
    """All closed segments of one model.

    Args:
        model: its name.
        home: HANDFUL_HOME.
        experiments: of MLflow; None to read this machine's spool alone.
    """

    def __init__(self, model: str, home: Path, experiments: MonitoringExperiments | None) -> None:
        self._model = model
        self._home = home
        self._cache = home / "monitoring" / ".segments" / quote(model, safe="")
        self._experiments = experiments

    def segments(self, since: datetime) -> Iterator[Segment]:
        """Segments, each name once: those of MLflow are fetched when they come, and kept.

        Args:
            since: segments of days before are left out.

        Raises:
            UnavailableError: MLflow does not answer.
        """
        seen = set()
        waiting = _spool(self._home, self._model)
        for path in sorted(waiting.glob(f"*{SUFFIX}")) if waiting else ():
            seen.add(path.name)
            yield Segment(path.name, path)
        if self._experiments is not None:
            yield from self._from_mlflow(self._experiments, since, seen)

    def _from_mlflow(self, experiments: MonitoringExperiments, since: datetime, seen: set[str]) -> Iterator[Segment]:
        # A replica's clock, and the day that it is elsewhere, may be another one.
        first = (since - timedelta(days=1)).date().isoformat()
        for run in experiments.runs(self._model, {KIND: PREDICTION_LOG}):
            if run.tags.get(DAY, "9999") < first:
                continue
            for name in run.files(_FOLDER):
                if not name.endswith(SUFFIX) or name in seen:
                    continue
                seen.add(name)
                path = self._cache / name
                if not path.is_file():
                    self._cache.mkdir(parents=True, exist_ok=True)
                    part = self._cache / f"{name}.{os.getpid()}.part"
                    run.download(f"{_FOLDER}/{name}", part)
                    part.replace(path)
                yield Segment(name, path)

    def forget(self, before: datetime) -> None:
        """Remove what was fetched long ago."""
        for path in self._cache.glob("*"):
            with contextlib.suppress(FileNotFoundError):  # Another process had the same thought.
                if datetime.fromtimestamp(path.stat().st_mtime, UTC) < before:
                    path.unlink()


def spooled_models(home: Path) -> list[str]:
    """Models with segments on this machine."""
    return sorted(unquote(folder.parent.name) for folder in (home / "monitoring").glob(f"*/{_FOLDER}"))


def _spool(home: Path, model: str) -> Path | None:
    """Where a server on this machine keeps a model's segments. Names that are no folder's are quoted."""
    folders = (home / "monitoring").glob(f"*/{_FOLDER}")
    return next((folder for folder in folders if unquote(folder.parent.name) == model), None)
