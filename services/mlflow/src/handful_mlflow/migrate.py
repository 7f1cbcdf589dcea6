"""The database's schema, made or brought up to this MLflow's."""

from __future__ import annotations

import os

from handful_mlflow.errors import JobError
from handful_mlflow.schema import newest_revision
from handful_mlflow.settings import DatabaseSettings


def migrate() -> None:
    """Do what `mlflow db upgrade` does, in this process: on its command line the password could be seen.

    Raises:
        JobError: Postgres does not answer, or refuses the password.
    """
    database = DatabaseSettings.read(os.environ)
    current, newest = _revision(database), newest_revision()
    if current is not None and current == newest:  # Loading MLflow to hear the same takes ten seconds of every start.
        print(f"the schema is MLflow's newest, {newest}", flush=True)  # noqa: T201  # The job's log.
        return
    from mlflow.db import commands

    commands(["upgrade", database.uri], standalone_mode=False)


def _revision(database: DatabaseSettings) -> str | None:
    """The schema's revision, None before the first start.

    It also logs in once: MLflow would try for minutes, and tell why not in a long trace.
    """
    import psycopg2
    from psycopg2.errors import UndefinedTable

    try:
        connection = psycopg2.connect(
            host=database.host,
            port=database.port,
            dbname=database.name,
            user=database.user,
            password=database.password,
            connect_timeout=10,
        )
    except psycopg2.OperationalError as error:
        reason = " ".join(str(error).split())
        if "password authentication failed" in reason:
            raise JobError(
                "Postgres refuses the password: its database was made with another one; put that one back into "
                "the secret postgres_password, or change Postgres' (docs/operations.md, Secrets)"
            ) from error
        raise JobError(f"Postgres does not let us in ({reason}): see `docker compose logs postgres`") from error
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT version_num FROM alembic_version")
            row = cursor.fetchone()
            return str(row[0]) if row else None
    except UndefinedTable:
        return None
    finally:
        connection.close()
