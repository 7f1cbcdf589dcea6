"""Backups from before aliases: the stage `Production` stands for the alias `champion`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from handful_backup.tables import DEFAULT_WORKSPACE, Record
from handful_core.registry import CHAMPION

_STAGE = "Production"


def champions(versions: Iterable[Record], aliases: Iterable[Record]) -> Mapping[tuple[str, str], int]:
    """The newest version in production of each model (workspace and name) that has no champion."""
    has = {_model(row) for row in aliases if row["alias"] == CHAMPION}
    found: dict[tuple[str, str], int] = {}
    for row in versions:
        if row["current_stage"] == _STAGE and _model(row) not in has:
            found[_model(row)] = max(row["version"], found.get(_model(row), 0))
    return found


def _model(row: Record) -> tuple[str, str]:
    return row.get("workspace") or DEFAULT_WORKSPACE, row["name"]
