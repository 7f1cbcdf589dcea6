"""The rows of one stream, feature by feature."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Self

import numpy as np

from handful_core.profile import FEATURES_OF_IMAGE, Feature, FeatureValue, LogRow
from handful_monitor.domain.columns import Column
from handful_monitor.domain.effective import Floats, independent_rows

_OF_IMAGE = frozenset(feature.name for feature in FEATURES_OF_IMAGE)
_ANSWERED = "first_class"
"""Is null where an answer is not what the model says by itself: the request had thresholds of its own. Where the model
finds nothing it is empty, not null."""


@dataclass(frozen=True, slots=True)
class Window:
    """Rows of one stream.

    Attributes:
        columns: those features that any row has measured.
        rows: how many there are.
        effective: independent rows that they are worth, where serial correlation is left aside.
        first: the time of the first row.
        last: the time of the last one.
    """

    columns: Mapping[str, Column]
    rows: int
    effective: float
    first: datetime | None = None
    last: datetime | None = None

    @classmethod
    def of(cls, rows: Sequence[LogRow], features: Sequence[Feature]) -> Self:
        """Put rows of a log in the order of time, and take what is measured.

        Args:
            rows: of one stream.
            features: those of the reference.
        """
        rows = sorted(rows, key=lambda row: (row.at, row.id))
        weights = np.array([row.weight for row in rows], np.float64)
        columns = columns_of([row.features for row in rows], weights, features)
        same = [tuple(row.features.get(feature.name) for feature in features) for row in rows]
        times = (rows[0].at, rows[-1].at) if rows else (None, None)
        return cls(columns, len(rows), independent_rows(weights, same), *times)


def columns_of(
    rows: Sequence[Mapping[str, FeatureValue]], weights: Floats, features: Sequence[Feature]
) -> dict[str, Column]:
    """The features that any row has measured."""
    answered = [row.get(_ANSWERED) is not None for row in rows]
    columns = {}
    for name, kind in features:
        of_image = name in _OF_IMAGE
        # Rows of an older server lack features.
        places = [i for i, row in enumerate(rows) if (of_image or answered[i]) and name in row]
        if places:
            columns[name] = Column.of(kind, [rows[i][name] for i in places], weights[places])
    return columns
