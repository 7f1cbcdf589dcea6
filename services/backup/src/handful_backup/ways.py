"""Which way is taken: exact where it can be."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from urllib.parse import urlsplit

import sqlalchemy as sa

from handful_backup.artifacts import Places
from handful_backup.exact.database import Database
from handful_backup.portable.api import API, ATTEMPTS, TIMEOUT
from handful_backup.settings import BackupSettings
from handful_core.errors import ConfigError, HandfulError, NotFoundError, UnavailableError
from handful_core.registry.rest import Rest
from handful_core.settings import CoreSettings

_LOCAL = {"127.0.0.1", "localhost", "::1"}


class Way(StrEnum):
    """What the command line may ask for."""

    AUTO = "auto"
    EXACT = "exact"
    PORTABLE = "portable"


@dataclass(frozen=True, slots=True)
class Server:
    """An MLflow server and the ways to it.

    Attributes:
        rest: its REST API; it need not answer.
        places: where its artifacts lie.
        database: its database, if the exact way is open.
        why: one line: which way is taken, and why.
    """

    rest: Rest
    places: Places
    database: Database | None
    why: str

    @property
    def shown(self) -> str:
        """Its address, or its database's, without a password."""
        return self.database.shown if self.database else self.rest.uri

    def version(self) -> str:
        """MLflow's version; empty if the server does not answer."""
        try:
            with self.rest.open("/version") as answer:
                return answer.read(64).decode().strip()
        except (HandfulError, OSError):
            return ""


@contextmanager
def server(core: CoreSettings, settings: BackupSettings, way: Way) -> Iterator[Server]:
    """The server that the settings name.

    Raises:
        ConfigError: the exact way is asked for and not open.
    """
    rest = Rest(core.mlflow_uri, TIMEOUT, ATTEMPTS, None)
    try:
        yield _find(core, settings, way, rest)
    finally:
        rest.close()


def _find(core: CoreSettings, settings: BackupSettings, way: Way, rest: Rest) -> Server:
    if way is Way.PORTABLE:
        return _portable(settings, rest, "as asked for")
    if settings.database_url is not None:
        database = Database(settings.database_url.get_secret_value())
        return Server(rest, Places(settings, rest), database, f"exact: the database {database.shown}")
    embedded = core.home / "mlflow" / "mlflow.db"
    if embedded.is_file() and _is_behind(embedded, core.mlflow_uri, rest):
        artifacts = settings.artifacts or str(core.home / "mlflow" / "artifacts")
        places = Places(settings.model_copy(update={"artifacts": artifacts}), rest)
        return Server(rest, places, Database(f"sqlite:///{embedded}"), f"exact: the database {embedded}")
    if way is Way.EXACT:
        raise ConfigError("the exact way needs MLflow's database", "set --database or HANDFUL_BACKUP_DATABASE_URL")
    return _portable(settings, rest, "no database was named")


def _portable(settings: BackupSettings, rest: Rest, why: str) -> Server:
    return Server(rest, Places(settings, rest), None, f"portable: over REST from {rest.uri}, {why}")


def _is_behind(path: Path, uri: str, rest: Rest) -> bool:
    """Whether a database is the one behind a server: the same experiments, made at the same moments."""
    if urlsplit(uri).hostname not in _LOCAL:
        return False
    try:
        shown = list(rest.search(f"{API}/experiments/search", "experiments", {"view_type": "ALL"}))
    except UnavailableError:
        return True  # It is not running: its files are what there is.
    except NotFoundError:
        return False
    here = {(int(e["experiment_id"]), e["name"], int(e.get("creation_time") or 0)) for e in shown}
    query = "SELECT experiment_id, name, creation_time FROM experiments"
    with Database(f"sqlite:///{path}").snapshot() as connection:
        try:
            rows = connection.execute(sa.text(query)).all()
        except sa.exc.DatabaseError:
            return False
    return {(row[0], row[1], row[2] or 0) for row in rows} == here
