"""Reading a server over REST, as rows of MLflow's tables."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing
from types import TracebackType
from typing import Any, Literal, Self

from handful_backup.portable.columns import COLUMNS
from handful_backup.portable.history import History
from handful_backup.portable.mlflow_api import EXPERIMENTS_PER_SEARCH, TRACES
from handful_backup.portable.registry_pages import RegistryPages
from handful_backup.portable.staging import Spool
from handful_backup.portable.tracking_pages import TrackingPages
from handful_backup.selection import SelectedItems
from handful_backup.tables import REST_TABLES
from handful_core.errors import HandfulError
from handful_core.registry.rest import Rest

_TRACES_PER_PAGE = 500


class RestSource:
    """A server that is read over REST.

    The registry is read first: so the runs that its versions name are in the pages that are read after it.

    Args:
        rest: the server.
        jobs: requests at the same time.
    """

    mode: Literal["portable"] = "portable"
    revision = ""
    tables: Sequence[str] = REST_TABLES
    not_kept = (
        "deleted logged models",
        "gaps of deleted versions' own rows",
        "time at which a run was deleted",
        "source name and entry point of runs from before MLflow 2",
    )

    def __init__(self, rest: Rest, jobs: int) -> None:
        self._rest = rest
        self._jobs = jobs
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        with ExitStack() as stack:  # Removes the spool where the server stops answering.
            self._spool = stack.enter_context(closing(Spool()))
            RegistryPages(self._rest, self._spool, self._jobs).read()
            TrackingPages(self._rest, self._spool, self._jobs).read()
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    def columns(self, table: str) -> list[str]:
        """A table's columns."""
        return list(COLUMNS[table])

    def rows(self, table: str) -> Iterator[dict[str, Any]]:
        """A table's rows, by column; none of a table that REST does not show."""
        if table in COLUMNS:
            names = COLUMNS[table]
            yield from (dict(zip(names, row, strict=True)) for row in self.row_values(table, None))

    def row_values(self, name: str, selected: SelectedItems | None) -> Iterator[Sequence[Any]]:
        """A table's rows; the history of metrics is only fetched now, for the runs that are wanted."""
        if name == "metrics":
            yield from self._metrics(selected)
            return
        names = COLUMNS[name]
        for row in self._spool.rows(name):
            if selected is None or selected.includes(name, dict(zip(names, row, strict=True))):
                yield row

    def not_carried(self) -> dict[str, int]:
        """What the server has and REST does not export."""
        experiments = [str(row["experiment_id"]) for row in self.rows("experiments")]
        return _count_not_exported(self._rest, experiments)

    def _metrics(self, selected: SelectedItems | None) -> Iterator[Sequence[Any]]:
        keys: dict[str, list[str]] = {}
        for row in self.rows("latest_metrics"):
            if selected is None or row["run_uuid"] in selected.of("runs"):
                keys.setdefault(row["key"], []).append(row["run_uuid"])
        yield from History(self._rest, self._jobs).rows(keys)


def _count_not_exported(rest: Rest, experiments: list[str]) -> dict[str, int]:
    """How many traces the server has, and -1 for what cannot even be counted."""
    traces = 0
    for start in range(0, len(experiments), EXPERIMENTS_PER_SEARCH):
        locations = [
            {"type": "MLFLOW_EXPERIMENT", "mlflow_experiment": {"experiment_id": number}}
            for number in experiments[start : start + EXPERIMENTS_PER_SEARCH]
        ]
        try:
            traces += sum(1 for _ in rest.search(TRACES, "traces", {"locations": locations}, _TRACES_PER_PAGE))
        except HandfulError:  # MLflow before version 3 has them elsewhere.
            traces = -1
            break
    return {**({"traces": traces} if traces else {}), "evaluation datasets, scorers, webhooks, gateway, reviews": -1}
