"""What is said of a stream: too few rows, steady, or changed, and what has changed."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from handful_monitor.domain import LEAST_ROWS
from handful_monitor.domain.comparison import LEAST_EFFECTIVE, Comparison, FeatureComparison
from handful_monitor.domain.window import Window
from handful_monitor.domain.words import say_change

SCHEMA = 1


class State(StrEnum):
    """What a verdict comes to."""

    TOO_FEW = "too few"
    STEADY = "steady"
    CHANGED = "changed"


@dataclass(frozen=True, slots=True)
class Stream:
    """Where rows come from: each has windows of its own, as each camera sees other things."""

    model: str
    version: str
    source: str

    def __str__(self) -> str:
        return f"{self.model} version {self.version}" + (f", source {self.source}" if self.source else "")


@dataclass(frozen=True, slots=True)
class Verdict:
    """`verdict.json`, as Python has it.

    Attributes:
        differing: names of the features that differ in this window, be it the first one or not.
        document: the JSON.
    """

    stream: Stream
    state: State
    differing: tuple[str, ...]
    document: Mapping[str, Any]

    @property
    def changed(self) -> list[Mapping[str, Any]]:
        """The features that have changed, the surest first."""
        return [feature for feature in self.document["features"] if feature["changed"]]


def decide(
    stream: Stream, window: Window, comparison: Comparison | None, before: Collection[str], notes: Collection[str] = ()
) -> Verdict:
    """Say what came of a window. A feature has changed if it differs in two windows in a row.

    Args:
        stream: whose window it is.
        window: the rows.
        comparison: with the reference; None without one.
        before: names of the features that differed in the stream's window before this one.
        notes: what else a reader should know, sentences.
    """
    compared = comparison.features if comparison else ()
    differing = tuple(f.feature.name for f in compared if f.differs)
    confirmed = [name for name in differing if name in before]
    state = State.CHANGED if confirmed else State.STEADY if compared else State.TOO_FEW
    ranked = sorted(compared, key=lambda f: (f.feature.name not in confirmed, not f.differs, f.p_value))
    document = {
        "schema": SCHEMA,
        "model": stream.model,
        "version": stream.version,
        "source": stream.source,
        "window": {
            "from": _time(window.first),
            "to": _time(window.last),
            "rows": window.rows,
            "effective": round(window.effective, 1),
        },
        "verdict": state.value,
        "features": [_feature(f, changed=f.feature.name in confirmed) for f in ranked],
        "notes": [*(_too_few(comparison) if comparison else ()), *notes],
    }
    return Verdict(stream, state, differing, document)


def _feature(found: FeatureComparison, *, changed: bool) -> dict[str, Any]:
    return {
        "name": found.feature.name,
        "kind": found.feature.kind,
        "statistic": found.statistic,
        "value": round(found.value, 5),
        "threshold": round(found.threshold, 5),
        "p_value": float(f"{found.p_value:.3g}"),
        "differs": found.differs,
        "changed": changed,
        "then": _rounded(found.then),
        "now": _rounded(found.now),
        "then_missing": round(found.then_missing, 4),
        "now_missing": round(found.now_missing, 4),
        "effective": round(found.effective, 1),
        "says": say_change(found) if found.differs else "",
    }


def _too_few(comparison: Comparison) -> list[str]:
    if comparison.features:
        return []
    if comparison.rows < LEAST_ROWS:
        return [f"{comparison.rows} rows are too few: a verdict needs {LEAST_ROWS}"]
    return [
        f"{comparison.rows} rows are worth {comparison.effective:.0f} different pictures, a verdict needs"
        f" {LEAST_EFFECTIVE}: a camera may be stuck, or a client sends the same picture again and again"
    ]


def _rounded(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {name: round(share, 4) for name, share in sorted(value.items(), key=lambda item: -item[1])}
    return None if value is None else float(f"{value:.5g}")


def _time(at: datetime | None) -> str | None:
    return None if at is None else at.isoformat(timespec="milliseconds").replace("+00:00", "Z")
