"""Numbers in MLflow's answers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

Json = Mapping[str, Any]


def whole(value: Any) -> int | None:
    """A time or count, which MLflow leaves out or sends as text."""
    return int(value) if value else None
