"""The secrets: checked if they are given, else made on the first start and kept in volumes.

Secrets are given as the files in SECRETS_DIR, and MLflow's password as MLFLOW_PASSWORD_FILE. Where none is given,
Compose mounts an empty file. Each volume is mounted by those services alone that need what it keeps.
"""

from __future__ import annotations

import os
import secrets
from pathlib import Path

from compose import secret_files
from compose.errors import ComposeError
from handful_mlflow.alerting import Receivers, render
from handful_mlflow.credentials import login_text, read_login
from handful_mlflow.errors import JobError
from handful_mlflow.settings import SECRETS

VOLUMES = Path("/volumes")
DATABASE = "postgres_password"
LOGIN_USER = "admin"
"""MLflow's first user, who may do everything."""
_KEPT_IN = {DATABASE: "database-secret", "s3_access_key": "objects-secret", "s3_secret_key": "objects-secret"}
_MADE_IN = {
    "metrics_key": "metrics-secret",
    "grafana_password": "grafana-secret",
    "grafana_secret_key": "grafana-secret",
}
"""Secrets of the monitoring that nobody brings: Prometheus' key for serving, and Grafana's."""
ALERTING = Path("/alertmanager/alertmanager.yml")
"""Alertmanager's settings without receivers."""
_PASSWORD, _CREDENTIALS = "mlflow_password", "credentials"  # Names of files.


def preflight() -> None:
    """Settle all secrets before anything is started with them.

    Raises:
        JobError: a secret is a placeholder or too short, cannot be read or written, or the database's is lost; or
            an alert's receiver is set wrongly.
    """
    try:
        made = [name for name, volume in _KEPT_IN.items() if _settle(name, VOLUMES / volume)]
        made += [name for name, volume in _MADE_IN.items() if _make(VOLUMES / volume / name)]
        _settle_alerting(VOLUMES / "alertmanager-config" / ALERTING.name)
        made += [_PASSWORD] if _settle_login(VOLUMES / "mlflow-login" / _CREDENTIALS) else []
    except ComposeError as error:
        raise JobError(str(error)) from error
    except OSError as error:
        raise JobError(
            f"the volume of secrets cannot be written ({error.strerror}): make room for Docker's volumes"
        ) from error
    if made:
        print(f"made the secrets {', '.join(made)}: they are kept in volumes", flush=True)  # noqa: T201


def _settle(name: str, volume: Path) -> bool:
    """Keep what is given, else what is there, else a new one.

    Returns:
        Whether a new one was made.
    """
    kept = volume / name
    if os.environ.get("SECRETS_GIVEN") or _is_given(name):
        secret_files.validate(SECRETS, name)
        value = (SECRETS / name).read_text(encoding="utf-8").strip()
        if not kept.exists() or kept.read_text(encoding="utf-8") != value:
            secret_files.write(kept, value)
        return False
    if kept.exists():
        secret_files.validate(volume, name)
        return False
    if name == DATABASE and _database_exists():
        raise JobError(
            "the database is there, but the password that it was made with is not: set SECRETS_DIR in .env to the "
            "folder that holds postgres_password, or see docs/operations.md, Secrets"
        )
    secret_files.write(kept, secret_files.random_value(name))
    return True


def _make(kept: Path) -> bool:
    """Make a secret that is not there; whether it was made."""
    if kept.exists():
        return False
    secret_files.write(kept, secrets.token_hex(24))
    return True


def _settle_alerting(kept: Path) -> None:
    """Write Alertmanager's settings, if they differ from what is there."""
    text = render(ALERTING, Receivers.read(os.environ, SECRETS))
    if not kept.exists() or kept.read_text(encoding="utf-8") != text:
        secret_files.write(kept, text)


def _settle_login(kept: Path) -> bool:
    """The same for MLflow's password, in the form that clients read."""
    if os.environ.get("PASSWORD_GIVEN") or _is_given(_PASSWORD):
        secret_files.validate(SECRETS, _PASSWORD)
        given = (SECRETS / _PASSWORD).read_text(encoding="utf-8").strip()
        if not kept.exists() or read_login(kept) != (LOGIN_USER, given):
            secret_files.write(kept, login_text(LOGIN_USER, given))
        return False
    if kept.exists():
        read_login(kept)
        return False
    secret_files.write(kept, login_text(LOGIN_USER, secrets.token_hex(24)))
    return True


def _is_given(name: str) -> bool:
    """Whether the file that Compose mounts has anything in it."""
    try:
        return (SECRETS / name).stat().st_size > 0
    except FileNotFoundError:
        return False


def _database_exists() -> bool:
    """Whether Postgres has made its database: then the volume is closed to all others."""
    try:
        return any((VOLUMES / "postgres").iterdir())
    except PermissionError:
        return True
    except FileNotFoundError:  # It is not mounted: another database is used.
        return False
