"""MLflow's database."""

from __future__ import annotations

import contextlib
import sqlite3
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from handful_backup.errors import CannotBeExactError
from handful_core.errors import ConfigError, UnavailableError

_DRIVERS = {"postgresql": "postgresql+psycopg2", "postgres": "postgresql+psycopg2"}
_SQLITE_BUSY = 60
"""Seconds to wait while MLflow writes."""


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
                folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="handful-")))
                engine = sa.create_engine(f"sqlite:///{self._copy(folder)}", poolclass=sa.NullPool)
                yield stack.enter_context(engine.connect())
                return
            engine = sa.create_engine(self.url, poolclass=sa.NullPool, isolation_level="REPEATABLE READ")
            connection = stack.enter_context(_told(engine))
            connection.execute(sa.text("SET TRANSACTION READ ONLY"))
            yield connection

    @contextlib.contextmanager
    def transaction(self) -> Iterator[sa.Connection]:
        """All that is written within is there at the end, or nothing of it."""
        arguments = {"timeout": _SQLITE_BUSY} if self.is_sqlite else {}
        engine = sa.create_engine(self.url, poolclass=sa.NullPool, connect_args=arguments)
        if self.is_sqlite:
            _begin_at_once(engine)
        with _told(engine) as connection, connection.begin():
            yield connection

    def _copy(self, folder: Path) -> Path:
        path = folder / "mlflow.db"
        source = sqlite3.connect(
            f"{Path(self.url.database or '').resolve().as_uri()}?mode=ro", uri=True, timeout=_SQLITE_BUSY
        )
        with contextlib.closing(source), contextlib.closing(sqlite3.connect(path)) as target:
            target.execute("PRAGMA synchronous=OFF")
            source.backup(target)
        return path


@contextlib.contextmanager
def _told(engine: sa.Engine) -> Iterator[sa.Connection]:
    try:
        connection = engine.connect()
    except sa.exc.OperationalError as error:
        reason = " ".join(str(error.orig).split())
        raise UnavailableError(f"the database does not let us in ({reason})", "check --database") from error
    with connection:
        yield connection


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
