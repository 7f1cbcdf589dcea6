"""Artifacts in an object store that speaks S3."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any
from urllib.parse import urlsplit

from handful_backup.artifacts.stores import ArtifactFile, Content
from handful_backup.settings import BackupSettings
from handful_core.errors import ConfigError, UnavailableError

_GONE = {"404", "NoSuchKey", "NotFound"}
"""Codes of an object that does not exist; `NoSuchBucket` is a wrong setting instead."""


def s3_client(settings: BackupSettings) -> Any:
    """A client; its keys are found where boto3 looks for them. Checksums are sent only where S3 asks for them.

    Raises:
        ConfigError: boto3 does not take its settings.
    """
    import boto3
    from botocore.config import Config
    from botocore.exceptions import BotoCoreError

    try:
        return boto3.client(
            "s3",
            endpoint_url=settings.s3_endpoint_url or None,
            config=Config(
                s3={"addressing_style": settings.s3_addressing_style},
                max_pool_connections=settings.jobs + 4,
                retries={"mode": "standard", "total_max_attempts": 5},
                request_checksum_calculation="when_required",
                response_checksum_validation="when_required",
            ),
        )
    except (ValueError, BotoCoreError) as error:
        raise ConfigError(
            f"the object store's settings are wrong ({error})",
            "write HANDFUL_BACKUP_S3_ENDPOINT_URL as http://HOST:PORT, and check the others",
        ) from error


def transfer_config() -> Any:
    """How large files go up: in parts, few at a time, as each is held in memory."""
    from boto3.s3.transfer import TransferConfig

    part = 16 << 20
    return TransferConfig(multipart_threshold=part, multipart_chunksize=part, max_concurrency=2, max_io_queue=4)


class ObjectStore:
    """The objects below s3://BUCKET/PREFIX."""

    is_local = False

    def __init__(self, client: Any, uri: str) -> None:
        parts = urlsplit(uri)
        self._client = client
        self._bucket = parts.netloc
        self._prefix = parts.path.strip("/")

    def list(self, folder: str) -> Iterator[ArtifactFile]:
        """The files below a folder."""
        top = f"{self._key(folder)}/"
        with _translated_errors(self._bucket):
            pages = self._client.get_paginator("list_objects_v2").paginate(Bucket=self._bucket, Prefix=top)
            for page in pages:
                for item in page.get("Contents", ()):
                    if not item["Key"].endswith("/"):
                        yield ArtifactFile(
                            item["Key"].removeprefix(top), item["Size"], item["LastModified"].timestamp()
                        )

    @contextmanager
    def read(self, folder: str, path: str) -> Iterator[Content]:
        """A file. The store may go away while its bytes come."""
        with _translated_errors(self._bucket):
            answer = self._client.get_object(Bucket=self._bucket, Key=self._key(folder, path))
            with closing(answer["Body"]) as body:
                yield body

    def write(self, folder: str, path: str, content: Content, size: int) -> None:  # noqa: ARG002
        """Put an object: S3 shows it when it is whole."""
        with _translated_errors(self._bucket):
            self._client.upload_fileobj(
                _Forward(content), self._bucket, self._key(folder, path), Config=transfer_config()
            )

    def remove(self, folder: str) -> None:
        """Remove a folder's objects."""
        for entry in list(self.list(folder)):
            with _translated_errors(self._bucket):
                self._client.delete_object(Bucket=self._bucket, Key=self._key(folder, entry.path))

    def _key(self, *parts: str) -> str:
        return "/".join(part.strip("/") for part in (self._prefix, *parts) if part.strip("/"))


class _Forward(io.RawIOBase):
    """A stream that can only be read: in one that says it can seek, boto3 does."""

    def __init__(self, content: Content) -> None:
        self._content = content

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return False

    def read(self, size: int = -1, /) -> bytes:
        return self._content.read(size)


@contextmanager
def _translated_errors(bucket: str) -> Iterator[None]:
    """Say what boto3's errors mean."""
    from boto3.exceptions import Boto3Error
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        yield
    except (Boto3Error, BotoCoreError, ClientError) as error:
        if isinstance(error, ClientError) and error.response["Error"]["Code"] in _GONE:
            raise FileNotFoundError(f"s3://{bucket}: {error}") from error
        raise UnavailableError(
            f"the object store does not do its part for s3://{bucket} ({error})",
            "check HANDFUL_BACKUP_S3_ENDPOINT_URL, AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY",
        ) from error
