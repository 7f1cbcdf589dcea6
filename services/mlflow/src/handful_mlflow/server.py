"""The tracking server."""

from __future__ import annotations

import os
import secrets
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from handful_mlflow.credentials import CredentialFiles, aws_credentials, credential_files, ini_text, pgpass, read_login
from handful_mlflow.errors import JobError
from handful_mlflow.settings import SECRETS, DatabaseSettings, ObjectStoreSettings

SCHEMA = "mlflow_auth"
"""The schema of users and their rights: backups are of the runs and models beside it."""
_CREDENTIALS = SECRETS / "login" / "credentials"
_ON, _OFF = "on", "off"


def serve() -> None:
    """Run the MLflow server in this process, so that nobody inherits what it knows.

    No secret is in its environment, but the paths of files that only it can read. `mlflow server` would start another
    process, and put the key of its forms into that one's environment.

    Raises:
        JobError: a setting is wrong, or a secret cannot be read.
    """
    with_login = login_wanted(os.environ)
    database, objects = DatabaseSettings.read(os.environ), ObjectStoreSettings.read(os.environ)
    with credential_files() as files:
        os.environ.update(server_environment(database, objects, files))
        app = _app_with_login(database, files) if with_login else _plain_app()
        _run(app)


def login_wanted(environment: Mapping[str, str]) -> bool:
    """Whether MLflow asks for a password.

    Raises:
        JobError: MLFLOW_AUTH is neither on nor off.
    """
    choice = environment.get("MLFLOW_AUTH", "").strip().lower() or _OFF
    if choice not in {_ON, _OFF}:
        raise JobError(f"MLFLOW_AUTH is {choice!r}: it is on or off; correct it in .env")
    return choice == _ON


def server_environment(
    database: DatabaseSettings, objects: ObjectStoreSettings, files: CredentialFiles
) -> Mapping[str, str]:
    """What the server gets beside its settings: the stores, and the files with their secrets.

    The names with an underscore are those by which `mlflow server` tells its workers. Checksums are sent only where S3
    asks for them: some other stores refuse those that boto3 adds by itself.
    """
    endpoint = {"MLFLOW_S3_ENDPOINT_URL": objects.endpoint} if objects.endpoint else {}
    return {
        "_MLFLOW_SERVER_FILE_STORE": database.uri,
        "_MLFLOW_SERVER_REGISTRY_STORE": database.uri,
        "_MLFLOW_SERVER_ARTIFACT_ROOT": "mlflow-artifacts:/",
        "_MLFLOW_SERVER_ARTIFACT_DESTINATION": f"s3://{objects.bucket}",
        "_MLFLOW_SERVER_SERVE_ARTIFACTS": "true",
        "_MLFLOW_SGI_NAME": "uvicorn",
        "PGPASSFILE": str(files.write("pgpass", pgpass(database))),
        "AWS_SHARED_CREDENTIALS_FILE": str(files.write("aws", aws_credentials(objects))),
        "MLFLOW_BOTO_CLIENT_ADDRESSING_STYLE": objects.addressing,
        "AWS_DEFAULT_REGION": objects.region,
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_REQUEST_CHECKSUM_CALCULATION": "when_required",
        "AWS_RESPONSE_CHECKSUM_VALIDATION": "when_required",
        **endpoint,
    }


def _plain_app() -> Any:
    from mlflow.server.fastapi_app import app

    return app


def _app_with_login(database: DatabaseSettings, files: CredentialFiles) -> Any:
    """MLflow with its basic auth. The file counts: another password of its first user is replaced by that one."""
    user, password = read_login(_CREDENTIALS)
    _make_schema(database)
    os.environ["MLFLOW_AUTH_CONFIG_PATH"] = str(files.write("auth.ini", auth_settings(database, user, password)))
    # In this process only, which has no child: /proc shows the environment that a process began with.
    os.environ["MLFLOW_FLASK_SERVER_SECRET_KEY"] = secrets.token_hex(32)
    from mlflow.server import auth

    app = auth.create_app()
    if not auth.store.authenticate_user(user, password):
        auth.store.update_user(user, password=password)
    return app


def auth_settings(database: DatabaseSettings, user: str, password: str) -> str:
    """The file that MLflow's basic auth reads. Others whom its first user invites may read, until given more."""
    settings = {
        "default_permission": "READ",
        "database_uri": f"{database.uri}?options=-csearch_path%3D{SCHEMA}",
        "admin_username": user,
        "admin_password": password,
        "authorization_function": "mlflow.server.auth:authenticate_request_basic_auth",
        # Hashing a password takes long, and serving asks every two seconds.
        "auth_cache_ttl_seconds": "60",
    }
    return ini_text({"mlflow": settings})


def _make_schema(database: DatabaseSettings) -> None:
    import psycopg2

    connection = psycopg2.connect(
        host=database.host,
        port=database.port,
        dbname=database.name,
        user=database.user,
        password=database.password,
        connect_timeout=10,
    )
    try:
        with connection, connection.cursor() as cursor:
            cursor.execute(f"CREATE SCHEMA IF NOT EXISTS {SCHEMA}")
    finally:
        connection.close()


def _run(app: Any) -> None:
    import uvicorn

    spec = find_spec("mlflow.server")
    log = Path(spec.origin).with_name("uvicorn_log_config.yaml") if spec and spec.origin else None
    # All addresses: a container's own. Serving asks every two seconds, which would fill the log.
    uvicorn.run(app, host="0.0.0.0", port=5000, access_log=False, log_config=str(log) if log else None)  # noqa: S104
