"""Settings of the backup service."""

from __future__ import annotations

from pathlib import Path

from pydantic import AliasChoices, Field, SecretStr, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict


class BackupSettings(BaseSettings):
    """`HANDFUL_BACKUP_*`."""

    model_config = SettingsConfigDict(
        env_prefix="HANDFUL_BACKUP_",
        env_ignore_empty=True,
        frozen=True,
        use_attribute_docstrings=True,
        populate_by_name=True,
    )

    database_url: SecretStr | None = None
    """MLflow's database, as SQLAlchemy writes it: with it, the exact way is open."""

    artifacts: str = ""
    """Where MLflow's `--artifacts-destination` is: a folder or s3://BUCKET/PATH. Empty: by way of the MLflow server."""

    passphrase: SecretStr | None = None
    """Locks and unlocks backups."""

    passphrase_file: Path | None = None
    """A file that holds the passphrase and nothing else, such as a secret of Compose. An empty one is an error."""

    jobs: int = Field(default=4, ge=1, le=64)
    """Downloads and uploads at the same time."""

    s3_endpoint_url: str = Field(
        default="", validation_alias=AliasChoices("HANDFUL_BACKUP_S3_ENDPOINT_URL", "MLFLOW_S3_ENDPOINT_URL")
    )
    """The object store's address, empty for Amazon's own. Its keys are found where boto3 looks for them."""

    @field_validator("s3_endpoint_url")
    @classmethod
    def _is_url(cls, value: str) -> str:
        if value and not value.startswith(("http://", "https://")):
            raise ValueError("it is no address such as http://HOST:9000")
        return value

    s3_addressing_style: str = "auto"
    """`path`, `virtual` or `auto`."""
