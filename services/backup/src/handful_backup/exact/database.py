"""MLflow's database."""

from __future__ import annotations

import contextlib
import re
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from handful_backup.errors import CannotBeExactError
from handful_backup.leftovers import work_folder
from handful_core.errors import ConfigError, ResourceError, UnavailableError

_DRIVERS = {"postgresql": "postgresql+psycopg2", "postgres": "postgresql+psycopg2"}
_SQLITE_BUSY = 60
"""Seconds to wait while MLflow writes."""
_FULL = re.compile(r"disk (is )?full|No space left|could not (extend|write)", re.IGNORECASE)
"""What SQLite and Postgres say without room."""


class Database:
    """A database with MLflow's schema.

    Args:
        url: as SQLAlchemy writes it; of SQLite and Postgres.

    Raises:
        ConfigError: it is no such URL.
    """

    def __init__(self, url: str) -> None:
        try:
            parsed = sa.make_url(url)
        except sa.exc.ArgumentError as error:
            raise ConfigError(
                "the database's URL cannot be understood", "write one such as sqlite:///FOLDER/mlflow.db"
            ) from error
        parsed = parsed.set(drivername=_DRIVERS.get(parsed.drivername, parsed.drivername))
        self.url = parsed
        if parsed.get_backend_name() not in {"sqlite", "postgresql"}:
            raise ConfigError(
                f"databases of the kind {parsed.get_backend_name()} are not known", "leave --database out"
            )
        if self.is_sqlite and not Path(parsed.database or "").is_file():
            raise ConfigError(f"there is no database {parsed.database}", "correct --database")

    @property
    def is_sqlite(self) -> bool:
        """Whether it is a file."""
        return self.url.get_backend_name() == "sqlite"

    @property
    def shown(self) -> str:
        """Its URL without the password."""
        return self.url.render_as_string(hide_password=True)

    @contextlib.contextmanager
    def snapshot(self) -> Iterator[sa.Connection]:
        """The whole database as it is at one moment, while others go on writing.

        SQLite is copied first, which takes seconds: a long read would keep MLflow from writing.
        """
        with contextlib.ExitStack() as stack:
            if self.is_sqlite:
                folder = stack.enter_context(work_folder())
                stack.enter_context(self._told())
                engine = sa.create_engine(f"sqlite:///{self._copy(folder)}", poolclass=sa.NullPool)
                yield stack.enter_context(engine.connect())
                return
            engine = sa.create_engine(self.url, poolclass=sa.NullPool, isolation_level="REPEATABLE READ")
            stack.enter_context(self._told())
            connection = stack.enter_context(engine.connect())
            connection.execute(sa.text("SET TRANSACTION READ ONLY"))
            yield connection

    @contextlib.contextmanager
    def transaction(self) -> Iterator[sa.Connection]:
        """All that is written within is there at the end, or nothing of it."""
        arguments = {"timeout": _SQLITE_BUSY} if self.is_sqlite else {}
        engine = sa.create_engine(self.url, poolclass=sa.NullPool, connect_args=arguments)
        if self.is_sqlite:
            _begin_at_once(engine)
        with self._told(), engine.connect() as connection, connection.begin():
            yield connection

    @contextlib.contextmanager
    def _told(self) -> Iterator[None]:
        """Say in a line what the database's errors mean, at the start and on the way."""
        try:
            yield
        except (sa.exc.OperationalError, sa.exc.InterfaceError, sqlite3.OperationalError) as error:
            cause = error.orig if isinstance(error, sa.exc.DBAPIError) else error
            reason = " ".join(str(cause).split())
            if _FULL.search(reason):
                raise ResourceError(f"there is no room for the database ({reason})", "free disk space") from error
            raise UnavailableError(
                f"the database {self.shown} does not do its part ({reason})", "check that it runs, and --database"
            ) from error

    def _copy(self, folder: Path) -> Path:
        path = folder / "mlflow.db"
        source = sqlite3.connect(
            f"{Path(self.url.database or '').resolve().as_uri()}?mode=ro", uri=True, timeout=_SQLITE_BUSY
        )
        with contextlib.closing(source), contextlib.closing(sqlite3.connect(path)) as target:
            target.execute("PRAGMA synchronous=OFF")
            source.backup(target)
        return path


def _begin_at_once(engine: sa.Engine) -> None:
    """Take SQLite's lock for writing at the start: taken later, it could be refused for good."""

    @sa.event.listens_for(engine, "connect")
    def _manual(connection: Any, _: object) -> None:
        connection.isolation_level = None

    @sa.event.listens_for(engine, "begin")
    def _immediate(connection: sa.Connection) -> None:
        connection.exec_driver_sql("BEGIN IMMEDIATE")


def reflect(connection: sa.Connection) -> sa.MetaData:
    """The tables that are there.

    Raises:
        CannotBeExactError: they are not MLflow's.
    """
    metadata = sa.MetaData()
    metadata.reflect(connection)
    if not {"alembic_version", "experiments", "runs", "model_versions"} <= set(metadata.tables):
        raise CannotBeExactError("the database has none of MLflow's tables", "start MLflow on it once: it makes them")
    return metadata


def revision(connection: sa.Connection) -> str:
    """The schema's revision."""
    return str(connection.execute(sa.text("SELECT version_num FROM alembic_version")).scalar() or "")


def written(table: sa.Table) -> list[sa.Column[Any]]:
    """The columns that hold what was written; others the database computes."""
    return [column for column in table.columns if column.computed is None]
