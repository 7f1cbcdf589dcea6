"""Credentials as the files that libpq, the AWS client and MLflow read: only their paths are in the environment."""

from __future__ import annotations

import configparser
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from io import StringIO
from pathlib import Path

from handful_mlflow.errors import JobError
from handful_mlflow.settings import DatabaseSettings, ObjectStoreSettings

_SECTION = "mlflow"
_USER, _PASSWORD = "mlflow_tracking_username", "mlflow_tracking_password"  # Names of fields.


class CredentialFiles:
    """A folder in memory, for this process' user alone.

    Args:
        folder: where they are written.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def write(self, name: str, text: str) -> Path:
        """Write a file that only its owner reads: libpq ignores any other."""
        path = self._folder / name
        path.touch(mode=0o600)
        path.write_text(text, encoding="utf-8")
        return path


@contextmanager
def credential_files() -> Iterator[CredentialFiles]:
    """A folder for credentials, which is gone at the end."""
    with tempfile.TemporaryDirectory(prefix="credentials-") as folder:
        yield CredentialFiles(Path(folder))


def pgpass(database: DatabaseSettings) -> str:
    """The database's password as libpq's password file has it (PostgreSQL's manual, 34.16)."""
    fields = [database.host, str(database.port), "*", database.user, database.password]
    return ":".join(field.replace("\\", "\\\\").replace(":", "\\:") for field in fields) + "\n"


def aws_credentials(objects: ObjectStoreSettings) -> str:
    """The object store's keys as AWS' shared credentials file has them."""
    return f"[default]\naws_access_key_id = {objects.access_key}\naws_secret_access_key = {objects.secret_key}\n"


def login_text(user: str, password: str) -> str:
    """A login to MLflow as its clients read it from ~/.mlflow/credentials."""
    return ini_text({_SECTION: {_USER: user, _PASSWORD: password}})


def read_login(path: Path) -> tuple[str, str]:
    """User and password of `login_text`.

    Raises:
        JobError: the file cannot be read, or has no login.
    """
    parser = configparser.ConfigParser()
    try:
        parser.read_string(path.read_text(encoding="utf-8"))
        return parser[_SECTION][_USER], parser[_SECTION][_PASSWORD]
    except (OSError, KeyError, configparser.Error) as error:
        raise JobError("MLflow's login cannot be read: run `docker compose up preflight`, which makes it") from error


def ini_text(sections: Mapping[str, Mapping[str, str]]) -> str:
    """Sections as ConfigParser reads them, which takes a single % as a reference."""
    parser = configparser.RawConfigParser()
    parser.read_dict({name: {k: v.replace("%", "%%") for k, v in fields.items()} for name, fields in sections.items()})
    text = StringIO()
    parser.write(text)
    return text.getvalue()
