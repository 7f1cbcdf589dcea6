"""Reading a server over REST, as rows of MLflow's tables."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing
from types import TracebackType
from typing import Any, Literal, Self

from handful_backup.portable.columns import COLUMNS
from handful_backup.portable.history import History
from handful_backup.portable.left import count_left
from handful_backup.portable.registry_pages import RegistryPages
from handful_backup.portable.spool import Spool
from handful_backup.portable.tracking_pages import TrackingPages
from handful_backup.selection import Chosen
from handful_backup.tables import PORTABLE
from handful_core.registry.rest import Rest


class RestSource:
    """A server behind `rest`. The registry is read first, so that what it names is there when runs are read.

    Args:
        rest: the server.
        jobs: questions at the same time.
    """

    way: Literal["portable"] = "portable"
    revision = ""
    tables: Sequence[str] = PORTABLE
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
        with ExitStack() as stack:  # Cleans up where the server does not answer to the end.
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
            yield from (dict(zip(names, row, strict=True)) for row in self.plain_rows(table, None))

    def plain_rows(self, name: str, chosen: Chosen | None) -> Iterator[Sequence[Any]]:
        """A table's rows; the history of metrics is only fetched now, for the runs that are wanted."""
        if name == "metrics":
            yield from self._metrics(chosen)
            return
        names = COLUMNS[name]
        for row in self._spool.rows(name):
            if chosen is None or chosen.takes(name, dict(zip(names, row, strict=True))):
                yield row

    def not_carried(self) -> dict[str, int]:
        """What the server has and REST does not give."""
        experiments = [str(row["experiment_id"]) for row in self.rows("experiments")]
        return count_left(self._rest, experiments)

    def _metrics(self, chosen: Chosen | None) -> Iterator[Sequence[Any]]:
        keys: dict[str, list[str]] = {}
        for row in self.rows("latest_metrics"):
            if chosen is None or row["run_uuid"] in chosen.of("runs"):
                keys.setdefault(row["key"], []).append(row["run_uuid"])
        yield from History(self._rest, self._jobs).rows(keys)
