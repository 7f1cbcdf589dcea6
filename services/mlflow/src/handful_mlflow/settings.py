"""Where the stores are, and the secrets for them: from files, never from the environment."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote

from handful_mlflow.errors import JobError

SECRETS = Path("/run/secrets")
_VOLUMES = {"postgres_password": "database", "s3_access_key": "objects", "s3_secret_key": "objects"}
"""The volume that keeps a secret, as a folder of `SECRETS`. A file of its own in there counts more."""


@dataclass(frozen=True, slots=True)
class DatabaseSettings:
    """The Postgres database for runs and the registry."""

    host: str
    port: int
    name: str
    user: str
    password: str = field(repr=False)

    @property
    def uri(self) -> str:
        """For SQLAlchemy, without the password: libpq finds that in the file that PGPASSFILE names.

        The driver is named: without it, SQLAlchemy 2.1 takes another one.
        """
        user, name = quote(self.user, safe=""), quote(self.name, safe="")
        return f"postgresql+psycopg2://{user}@{self.host}:{self.port}/{name}"

    @classmethod
    def read(cls, environment: Mapping[str, str]) -> DatabaseSettings:
        """From `POSTGRES_*` and the secret `postgres_password`.

        Raises:
            JobError: the port is not a number, or the secret cannot be read.
        """
        port = environment.get("POSTGRES_PORT") or "5432"
        if not port.isdigit():
            raise JobError(f"POSTGRES_PORT is {port!r} and no number: correct it in .env")
        return cls(
            host=environment.get("POSTGRES_HOST") or "postgres",
            port=int(port),
            name=environment.get("POSTGRES_DB") or "mlflow",
            user=environment.get("POSTGRES_USER") or "mlflow",
            password=read_secret("postgres_password"),
        )


@dataclass(frozen=True, slots=True)
class ObjectStoreSettings:
    """The S3 bucket for artifacts. An empty endpoint is Amazon's own."""

    endpoint: str
    bucket: str
    region: str
    addressing: str
    access_key: str
    secret_key: str = field(repr=False)

    @classmethod
    def read(cls, environment: Mapping[str, str]) -> ObjectStoreSettings:
        """From `S3_*` and the secrets `s3_access_key` and `s3_secret_key`.

        Raises:
            JobError: a secret cannot be read.
        """
        return cls(
            endpoint=environment.get("S3_ENDPOINT_URL", "http://minio:9000"),
            bucket=environment.get("S3_BUCKET") or "mlflow",
            region=environment.get("S3_REGION") or "us-east-1",
            addressing=environment.get("S3_ADDRESSING_STYLE") or "path",
            access_key=read_secret("s3_access_key"),
            secret_key=read_secret("s3_secret_key"),
        )


def read_secret(name: str) -> str:
    """A secret, without the line end that an editor puts there.

    Raises:
        JobError: the file is not there, not for us to read, or has more than one line.
    """
    own, kept = SECRETS / name, SECRETS / _VOLUMES[name] / name
    try:
        value = (kept if kept.exists() and not own.exists() else own).read_text(encoding="utf-8").strip()
    except OSError as error:
        raise JobError(
            f"the secret {name} cannot be read ({error.strerror}): its file in the folder of secrets must be readable "
            f"for all (chmod 444), while the folder itself is not (chmod 700)"
        ) from error
    if len(value.splitlines()) > 1:
        raise JobError(f"the secret {name} has more than one line: write it into one")
    return value
