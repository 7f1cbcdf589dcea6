"""The MLflow server that a command works on, and the mode: its database where it can be reached, else REST."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from urllib.parse import urlsplit

import sqlalchemy as sa

from handful_backup.artifacts import StoreResolver
from handful_backup.embedded import EmbeddedMlflow, installed_mlflow
from handful_backup.exact.database import Database
from handful_backup.portable.mlflow_api import ATTEMPTS, TIMEOUT
from handful_backup.settings import BackupSettings
from handful_core.errors import ConfigError, HandfulError, NotFoundError, UnavailableError
from handful_core.registry.rest import API, Rest
from handful_core.settings import CoreSettings

_LOCAL = {"127.0.0.1", "localhost", "::1"}


class Mode(StrEnum):
    """What `--way` may ask for."""

    AUTO = "auto"
    DATABASE = "exact"
    REST = "portable"


@dataclass(frozen=True, slots=True)
class MlflowTarget:
    """An MLflow server.

    Attributes:
        rest: its REST API; it need not answer.
        stores: where its artifacts are.
        database: its database; None in the mode REST.
        why: one line: which mode is taken, and why.
        installed: MLflow's version, where the server is not to be asked: another one may be at its address.
    """

    rest: Rest
    stores: StoreResolver
    database: Database | None
    why: str
    installed: str = ""

    @property
    def display_url(self) -> str:
        """Its address, or its database's, without a password."""
        return self.database.display_url if self.database else self.rest.uri

    def version(self) -> str:
        """MLflow's version; empty if the server does not answer."""
        if self.installed:
            return self.installed
        try:
            with self.rest.open("/version") as answer:
                return answer.read(64).decode().strip()
        except (HandfulError, OSError):
            return ""


@contextmanager
def open_target(
    core: CoreSettings, settings: BackupSettings, mode: Mode, *, embedded: bool = False
) -> Iterator[MlflowTarget]:
    """The server that the settings name.

    Args:
        core: the server's address, and the home folder.
        settings: its database, and its artifacts.
        mode: what was asked for.
        embedded: whether it is the embedded MLflow of the home folder, whatever the settings name.

    Raises:
        ConfigError: its database is asked for, and none is known.
    """
    rest = Rest(core.mlflow_uri, TIMEOUT, ATTEMPTS, None)
    try:
        yield _embedded(core, settings, rest) if embedded else _find(core, settings, mode, rest)
    finally:
        rest.close()


def _find(core: CoreSettings, settings: BackupSettings, mode: Mode, rest: Rest) -> MlflowTarget:
    if mode is Mode.REST:
        return _over_rest(settings, rest, "as asked for")
    if settings.database_url is not None:
        database = Database(settings.database_url.get_secret_value())
        return MlflowTarget(rest, StoreResolver(settings, rest), database, _exactly(database.display_url))
    embedded = EmbeddedMlflow(core.home)
    if embedded.database.is_file() and _is_behind(embedded.database, core.mlflow_uri, rest):
        artifacts = settings.artifacts or str(embedded.artifacts)
        stores = StoreResolver(settings.model_copy(update={"artifacts": artifacts}), rest)
        return MlflowTarget(rest, stores, Database(embedded.url), _exactly(str(embedded.database)))
    if mode is Mode.DATABASE:
        raise ConfigError("the exact way needs MLflow's database", "set --database or HANDFUL_BACKUP_DATABASE_URL")
    return _over_rest(settings, rest, "no database was named")


def _embedded(core: CoreSettings, settings: BackupSettings, rest: Rest) -> MlflowTarget:
    embedded = EmbeddedMlflow(core.home)
    stores = StoreResolver(settings.model_copy(update={"artifacts": str(embedded.artifacts)}), rest)
    return MlflowTarget(rest, stores, Database(embedded.url), _exactly(str(embedded.database)), installed_mlflow())


def _exactly(database: str) -> str:
    return f"exact: MLflow's database {database}, with all ids and times"


def _over_rest(settings: BackupSettings, rest: Rest, why: str) -> MlflowTarget:
    return MlflowTarget(rest, StoreResolver(settings, rest), None, f"portable: over REST from {rest.uri}, {why}")


def _is_behind(path: Path, uri: str, rest: Rest) -> bool:
    """Whether a database is the one behind a server: the same experiments, created at the same moments.

    Another server may listen at the address, while the embedded one's files still lie below `HANDFUL_HOME`.
    """
    if urlsplit(uri).hostname not in _LOCAL:
        return False
    try:
        found = list(rest.search(f"{API}/experiments/search", "experiments", {"view_type": "ALL"}))
    except UnavailableError:
        return True  # It is not running: its files are what there is.
    except NotFoundError:
        return False
    of_server = {(int(e["experiment_id"]), e["name"], int(e.get("creation_time") or 0)) for e in found}
    query = "SELECT experiment_id, name, creation_time FROM experiments"
    with Database(f"sqlite:///{path}").snapshot() as connection:
        try:
            rows = connection.execute(sa.text(query)).all()
        except sa.exc.DatabaseError:
            return False
    return {(row[0], row[1], row[2] or 0) for row in rows} == of_server
