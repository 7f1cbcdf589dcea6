"""The tracking server."""

from __future__ import annotations

import os
from collections.abc import Mapping

from handful_mlflow.settings import DatabaseSettings, ObjectStoreSettings


def serve() -> None:
    """Replace this process by the MLflow server. Only its own environment has the secrets: nobody outside sees it."""
    # All addresses: a container's own. Serving asks every two seconds, which would fill the log.
    address = ["--host", "0.0.0.0", "--port", "5000"]  # noqa: S104
    command = ["mlflow", "server", *address, "--workers", "1", "--uvicorn-opts=--no-access-log"]
    environment = os.environ | server_environment(
        DatabaseSettings.read(os.environ), ObjectStoreSettings.read(os.environ)
    )
    os.execvpe("mlflow", command, environment)  # noqa: S606  # There is no shell to go through.


def server_environment(database: DatabaseSettings, objects: ObjectStoreSettings) -> Mapping[str, str]:
    """What the server gets beside its settings: the stores with their secrets.

    Checksums are sent only where S3 asks for them: some other stores refuse those that boto3 adds by itself.
    """
    endpoint = {"MLFLOW_S3_ENDPOINT_URL": objects.endpoint} if objects.endpoint else {}
    return {
        "MLFLOW_BACKEND_STORE_URI": database.uri,
        "MLFLOW_ARTIFACTS_DESTINATION": f"s3://{objects.bucket}",
        "MLFLOW_BOTO_CLIENT_ADDRESSING_STYLE": objects.addressing,
        "AWS_ACCESS_KEY_ID": objects.access_key,
        "AWS_SECRET_ACCESS_KEY": objects.secret_key,
        "AWS_DEFAULT_REGION": objects.region,
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_REQUEST_CHECKSUM_CALCULATION": "when_required",
        "AWS_RESPONSE_CHECKSUM_VALIDATION": "when_required",
        **endpoint,
    }
