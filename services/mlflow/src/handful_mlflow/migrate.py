"""The database's schema, made or brought up to this MLflow's."""

from __future__ import annotations

import os

from handful_mlflow.errors import JobError
from handful_mlflow.settings import Database


def migrate() -> None:
    """Do what `mlflow db upgrade` does, in this process: on its command line the password could be seen.

    Raises:
        JobError: Postgres does not answer, or refuses the password.
    """
    database = Database.read(os.environ)
    _check_login(database)
    from mlflow.db import commands

    commands(["upgrade", database.uri], standalone_mode=False)


def _check_login(database: Database) -> None:
    """Log in once: MLflow would try for minutes, and tell why not in a long trace."""
    import psycopg2

    try:
        psycopg2.connect(
            host=database.host,
            port=database.port,
            dbname=database.name,
            user=database.user,
            password=database.password,
            connect_timeout=10,
        ).close()
    except psycopg2.OperationalError as error:
        said = " ".join(str(error).split())
        if "password authentication failed" in said:
            raise JobError(
                "Postgres refuses the password: its database was made with another one; put that one back into "
                "the secret postgres_password, or change Postgres' (docs/operations.md, Secrets)"
            ) from error
        raise JobError(f"Postgres does not let us in ({said}): see `docker compose logs postgres`") from error
