"""The database's schema, made or brought up to this MLflow's."""

from __future__ import annotations

import os
import re
from importlib.util import find_spec
from pathlib import Path

from handful_mlflow.credentials import credential_files, pgpass
from handful_mlflow.errors import JobError
from handful_mlflow.settings import DatabaseSettings

_REVISION = re.compile(r"^(down_)?revision\b[^=\n]*=\s*[\"']([^\"']+)[\"']", re.MULTILINE)


def migrate() -> None:
    """Do what `mlflow db upgrade` does, in this process: on its command line the password could be seen.

    Raises:
        JobError: Postgres does not answer, or refuses the password.
    """
    database = DatabaseSettings.read(os.environ)
    current, newest = _current_revision(database), newest_revision()
    if current is not None and current == newest:  # Loading MLflow to hear the same takes ten seconds of every start.
        print(f"the schema is MLflow's newest, {newest}", flush=True)  # noqa: T201  # The job's log.
        return
    from mlflow.db import commands

    with credential_files() as files:
        os.environ["PGPASSFILE"] = str(files.write("pgpass", pgpass(database)))
        commands(["upgrade", database.uri], standalone_mode=False)


def _current_revision(database: DatabaseSettings) -> str | None:
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
        message = " ".join(str(error).split())
        if "password authentication failed" in message:
            raise JobError(
                "Postgres refuses the password: its database was made with another one; put that one back into "
                "the secret postgres_password, or change Postgres' (docs/operations.md, Secrets)"
            ) from error
        raise JobError(f"Postgres does not let us in ({message}): see `docker compose logs postgres`") from error
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT version_num FROM alembic_version")
            row = cursor.fetchone()
            return str(row[0]) if row else None
    except UndefinedTable:
        return None
    finally:
        connection.close()


def newest_revision() -> str | None:
    """The schema's revision that the installed MLflow wants, told without loading MLflow.

    It is the one that no other migration follows. None if that cannot be told, as when there are two.
    """
    spec = find_spec("mlflow")
    if spec is None or spec.origin is None:
        return None
    folder = Path(spec.origin).parent / "store" / "db_migrations" / "versions"
    found = [match for path in folder.glob("*.py") for match in _REVISION.findall(path.read_text(encoding="utf-8"))]
    heads = {name for down, name in found if not down} - {name for down, name in found if down}
    return heads.pop() if len(heads) == 1 else None
