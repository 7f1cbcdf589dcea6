"""MLflow's database, and the SQL that SQLite and Postgres share."""

from __future__ import annotations

import contextlib
import re
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from handful_backup.errors import DatabaseModeUnavailableError
from handful_backup.temp_cleanup import work_folder
from handful_core.errors import ConfigError, ResourceError, UnavailableError

_DRIVERS = {"postgresql": "postgresql+psycopg2", "postgres": "postgresql+psycopg2"}
_SQLITE_BUSY = 60
"""Seconds to wait while MLflow writes."""
_FULL = re.compile(r"disk (is )?full|No space left|could not (extend|write)", re.IGNORECASE)
"""What SQLite and Postgres say without room."""
_OWNERS = 500
"""Values in one condition: databases limit them, and each owner may have three."""


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
    def display_url(self) -> str:
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
                stack.enter_context(self._translated_errors())
                engine = sa.create_engine(f"sqlite:///{self._copy(folder)}", poolclass=sa.NullPool)
                yield stack.enter_context(engine.connect())
                return
            engine = sa.create_engine(self.url, poolclass=sa.NullPool, isolation_level="REPEATABLE READ")
            stack.enter_context(self._translated_errors())
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
        with self._translated_errors(), engine.connect() as connection, connection.begin():
            yield connection

    @contextlib.contextmanager
    def _translated_errors(self) -> Iterator[None]:
        """Say in a line what the database's errors mean, at the start and on the way."""
        try:
            yield
        except (sa.exc.OperationalError, sa.exc.InterfaceError, sqlite3.OperationalError) as error:
            cause = error.orig if isinstance(error, sa.exc.DBAPIError) else error
            reason = " ".join(str(cause).split())
            if _FULL.search(reason):
                raise ResourceError(f"there is no room for the database ({reason})", "free disk space") from error
            raise UnavailableError(
                f"the database {self.display_url} does not do its part ({reason})", "check that it runs, and --database"
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
        connection.isolation_level = None  # Else Python's driver begins by itself, and without the lock.

    @sa.event.listens_for(engine, "begin")
    def _immediate(connection: sa.Connection) -> None:
        connection.exec_driver_sql("BEGIN IMMEDIATE")


def reflect(connection: sa.Connection) -> sa.MetaData:
    """The tables that are there.

    Raises:
        DatabaseModeUnavailableError: they are not MLflow's.
    """
    metadata = sa.MetaData()
    metadata.reflect(connection)
    if not {"alembic_version", "experiments", "runs", "model_versions"} <= set(metadata.tables):
        raise DatabaseModeUnavailableError(
            "the database has none of MLflow's tables", "start MLflow on it once: it makes them"
        )
    return metadata


def revision(connection: sa.Connection) -> str:
    """The schema's revision."""
    return str(connection.execute(sa.text("SELECT version_num FROM alembic_version")).scalar() or "")


def stored_columns(table: sa.Table) -> list[sa.Column[Any]]:
    """The columns that hold what was written; others the database computes."""
    return [column for column in table.columns if column.computed is None]


def insert(connection: sa.Connection, table: sa.Table, rows: Sequence[Mapping[str, Any]], *, replace: bool) -> None:
    """Insert rows that all have the same columns.

    Args:
        connection: to the database.
        table: that they go to.
        rows: column values.
        replace: whether a row with the same key is replaced, not kept.
    """
    if not rows:
        return
    module = postgresql if connection.dialect.name == "postgresql" else sqlite
    statement = module.insert(table)
    keys = [column.name for column in table.primary_key.columns]
    others = [name for name in rows[0] if name not in keys]
    # Not by deleting: rows of other tables refer to this one, and some would go with it.
    if replace and keys and others:
        statement = statement.on_conflict_do_update(
            index_elements=keys, set_={name: statement.excluded[name] for name in others}
        )
    else:
        statement = statement.on_conflict_do_nothing()
    connection.execute(statement, list(rows))


def delete_owned(connection: sa.Connection, table: sa.Table, names: Sequence[str], owners: Iterable[Any]) -> None:
    """Delete the rows of some owners.

    Args:
        connection: to the database.
        table: that they are in.
        names: the columns that name an owner; older versions of MLflow lack some.
        owners: a value for each of these columns in a tuple, or the value of a single one.
    """
    keys = (owner if isinstance(owner, tuple) else (owner,) for owner in owners)
    kept = [index for index, name in enumerate(names) if name in table.columns]
    values = sorted({tuple(key[index] for index in kept) for key in keys})
    columns = [table.columns[names[index]] for index in kept]
    for start in range(0, len(values), _OWNERS):
        part = values[start : start + _OWNERS]
        where = columns[0].in_([key for (key,) in part]) if len(columns) == 1 else sa.tuple_(*columns).in_(part)
        connection.execute(sa.delete(table).where(where))


def set_sequences(connection: sa.Connection, tables: Iterable[sa.Table]) -> None:
    """Let Postgres count on from the highest number that was written: it takes no notice of numbers by itself."""
    if connection.dialect.name != "postgresql":
        return
    for table in tables:
        for column in table.primary_key.columns:
            if not isinstance(column.type, sa.Integer):
                continue
            name = sa.func.pg_get_serial_sequence(f'"{table.name}"', column.name)
            if connection.execute(sa.select(name)).scalar():
                highest = sa.select(sa.func.coalesce(sa.func.max(column), 0) + 1).scalar_subquery()
                connection.execute(sa.select(sa.func.setval(sa.cast(name, postgresql.REGCLASS), highest, False)))
