"""What of a server or of a backup is wanted: experiments, models, and runs of a span of time."""

from __future__ import annotations

import re
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from handful_backup.tables import (
    INPUT_TAGS,
    INPUTS,
    OWNERSHIP,
    Kind,
    Owner,
    Record,
    input_run,
    is_deleted_version,
    owner,
)
from handful_core.errors import ConfigError, NotFoundError

_AGE = re.compile(r"(\d+)([hdw])")
_HOURS = {"h": 1, "d": 24, "w": 168}


class Rows(Protocol):
    """Anything with tables: a server that is read, or a backup."""

    def rows(self, table: str) -> Iterator[dict[str, Any]]:
        """A table's rows."""


@dataclass(frozen=True, slots=True)
class Selection:
    """What the command line asks for.

    Attributes:
        experiments: names; with them, their runs, logged models and traces.
        models: NAME, NAME@ALIAS or NAME/NUMBER; with them, the runs and logged models that the versions are made from.
        newer: only runs that started less than this time ago, such as 12h, 30d or 2w.
        older: only runs that started longer ago.
    """

    experiments: tuple[str, ...] = ()
    models: tuple[str, ...] = ()
    newer: str = ""
    older: str = ""

    def __bool__(self) -> bool:
        return bool(self.experiments or self.models or self.newer or self.older)

    def as_json(self) -> dict[str, list[str]]:
        """For the manifest."""
        fields = {
            "experiments": list(self.experiments),
            "models": list(self.models),
            "newer": [self.newer],
            "older": [self.older],
        }
        return {key: value for key, value in fields.items() if any(value)}


@dataclass(slots=True)
class SelectedItems:
    """The things that are wanted, by kind."""

    owners: dict[Kind, set[Owner]] = field(default_factory=dict)
    inputs: set[str] = field(default_factory=set)

    def of(self, kind: Kind) -> set[Owner]:
        """Those of one kind."""
        return self.owners.setdefault(kind, set())

    def includes(self, table: str, row: Record) -> bool:
        """Whether a row belongs to something wanted; never one of a table that no kind of thing owns."""
        if table == INPUTS:
            if input_run(row) in self.of("runs"):
                self.inputs.add(row["input_uuid"])
                return True
            return False
        if table == INPUT_TAGS:  # Read after their inputs.
            return row["input_uuid"] in self.inputs
        ownership = OWNERSHIP.get(table)
        return ownership is not None and owner(table, row) in self.of(ownership.kind)


def select(selection: Selection, source: Rows) -> SelectedItems | None:
    """The things that a selection names; None for all.

    Raises:
        ConfigError: an age or a model's reference cannot be understood.
        NotFoundError: there is no such experiment, model, version or alias.
    """
    if not selection:
        return None
    selected = SelectedItems()
    window = _Window(selection)
    if selection.experiments or not selection.models:
        _select_experiments(selection, source, selected, window)
    for reference in selection.models:
        _select_model(reference, source, selected)
    _complete(source, selected)
    return selected


class _Window:
    """A span of time, in milliseconds since 1970."""

    def __init__(self, selection: Selection) -> None:
        now = time.time() * 1000
        self._from = now - _milliseconds(selection.newer) if selection.newer else 0
        self._to = now - _milliseconds(selection.older) if selection.older else float("inf")

    def contains(self, moment: int | None) -> bool:
        return self._from <= (moment or 0) <= self._to


def _milliseconds(age: str) -> int:
    match = _AGE.fullmatch(age)
    if match is None:
        raise ConfigError(f"{age!r} is not an age", "write a number and h, d or w, such as 12h, 30d or 2w")
    return int(match[1]) * _HOURS[match[2]] * 3_600_000


def _select_experiments(selection: Selection, source: Rows, selected: SelectedItems, window: _Window) -> None:
    named = set(selection.experiments)
    ids = {r["experiment_id"]: r["name"] for r in source.rows("experiments") if not named or r["name"] in named}
    if missing := named - set(ids.values()):
        raise NotFoundError(f"there is no experiment {min(missing)}", "list what there is with: handful runs")
    if named:
        selected.of("experiments").update(ids)
    runs, models = selected.of("runs"), selected.of("models")
    runs.update(
        r["run_uuid"] for r in source.rows("runs") if r["experiment_id"] in ids and window.contains(r["start_time"])
    )
    for row in source.rows("logged_models"):
        # One that a run logged goes with its run, whenever it was created.
        is_wanted = row["experiment_id"] in ids and window.contains(row["creation_timestamp_ms"])
        if row["source_run_id"] in runs or (not row["source_run_id"] and is_wanted):
            models.add(row["model_id"])
    for row in source.rows("trace_info"):
        if row["experiment_id"] in ids and window.contains(row["timestamp_ms"]):
            selected.of("traces").add(row["request_id"])


def _select_model(reference: str, source: Rows, selected: SelectedItems) -> None:
    name, alias, number = _parse(reference)
    found = [r for r in source.rows("model_versions") if r["name"] == name and not is_deleted_version(r)]
    if alias:
        aliases = [r for r in source.rows("registered_model_aliases") if (r["name"], r["alias"]) == (name, alias)]
        number = aliases[0]["version"] if aliases else -1
    if number is not None:
        found = [row for row in found if row["version"] == number]
    models = [r for r in source.rows("registered_models") if r["name"] == name]
    if not models or (not found and number is not None):
        raise NotFoundError(f"there is no model {reference}", "list what there is with: handful models")
    selected.of("registered").update(owner("registered_models", row) for row in models)
    selected.of("versions").update(owner("model_versions", row) for row in found)
    # A logged model's id begins with m-. The source of a copied version is `models:/NAME/NUMBER`.
    logged = {row["source"].removeprefix("models:/") for row in found if row["source"].startswith("models:/m-")}
    selected.of("models").update(logged)
    selected.of("runs").update(row["run_id"] for row in found if row["run_id"])


def _parse(reference: str) -> tuple[str, str, int | None]:
    name, _, alias = reference.partition("@")
    if alias:
        return name, alias, None
    name, _, number = reference.rpartition("/")
    if name and number.isdigit():
        return name, "", int(number)
    return reference, "", None


def _complete(source: Rows, selected: SelectedItems) -> None:
    """Add what the selected things need: runs of logged models, experiments of both."""
    runs, models = selected.of("runs"), selected.of("models")
    rows = [row for row in source.rows("logged_models") if row["model_id"] in models]
    runs.update(row["source_run_id"] for row in rows if row["source_run_id"])
    experiments = selected.of("experiments")
    experiments.update(row["experiment_id"] for row in rows)
    experiments.update(row["experiment_id"] for row in source.rows("runs") if row["run_uuid"] in runs)
    experiments.update(
        r["experiment_id"] for r in source.rows("trace_info") if r["request_id"] in selected.of("traces")
    )


def only(rows: Iterable[Mapping[str, Any]], table: str, selected: SelectedItems | None) -> Iterator[Mapping[str, Any]]:
    """The rows that are wanted."""
    if selected is None:
        return iter(rows)
    return (row for row in rows if selected.includes(table, row))
