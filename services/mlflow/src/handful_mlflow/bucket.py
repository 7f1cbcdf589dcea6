"""The bucket for artifacts."""

from __future__ import annotations

import os
import time
from typing import Any

from handful_mlflow.errors import JobError
from handful_mlflow.settings import ObjectStoreSettings

_TIMEOUT = 60
"""Seconds in which the object store must answer."""
_EXISTS_ALREADY = {"BucketAlreadyOwnedByYou", "BucketAlreadyExists"}


def make_bucket() -> None:
    """Make the bucket if it is not there. It is private, as every new bucket is.

    Raises:
        JobError: the object store does not answer, or refuses the keys.
    """
    store = ObjectStoreSettings.read(os.environ)
    client = _client(store)
    if _exists(client, store):
        print(f"the bucket {store.bucket} is there", flush=True)  # noqa: T201  # The job's log.
        return
    from botocore.exceptions import ClientError

    # S3 refuses the name of its default region as a location constraint.
    location = (
        {} if store.region == "us-east-1" else {"CreateBucketConfiguration": {"LocationConstraint": store.region}}
    )
    try:
        client.create_bucket(Bucket=store.bucket, **location)
    except ClientError as error:
        if error.response["Error"]["Code"] not in _EXISTS_ALREADY:
            raise JobError(f"the bucket {store.bucket} cannot be made ({error})") from error
    print(f"made the bucket {store.bucket}", flush=True)  # noqa: T201  # The job's log.


def _client(store: ObjectStoreSettings) -> Any:
    import boto3
    from botocore.config import Config

    return boto3.client(
        "s3",
        endpoint_url=store.endpoint or None,
        region_name=store.region,
        aws_access_key_id=store.access_key,
        aws_secret_access_key=store.secret_key,
        config=Config(
            s3={"addressing_style": store.addressing},
            connect_timeout=5,
            read_timeout=10,
            retries={"total_max_attempts": 1},
            request_checksum_calculation="when_required",
            response_checksum_validation="when_required",
        ),
    )


def _exists(client: Any, store: ObjectStoreSettings) -> bool:
    """Whether the bucket exists, as soon as the object store answers."""
    from botocore.exceptions import BotoCoreError, ClientError

    until = time.monotonic() + _TIMEOUT
    while True:
        try:
            client.head_bucket(Bucket=store.bucket)
        except ClientError as error:
            status = error.response["ResponseMetadata"]["HTTPStatusCode"]
            if status == 404:
                return False
            if status < 500:
                raise JobError(
                    f"the object store refuses the keys for the bucket {store.bucket} (HTTP {status}): correct the "
                    f"secrets s3_access_key and s3_secret_key, or S3_BUCKET"
                ) from error
            reason = str(error)
        except BotoCoreError as error:
            reason = str(error)
        else:
            return True
        if time.monotonic() > until:
            raise JobError(f"the object store does not answer ({reason}): check S3_ENDPOINT_URL")
        time.sleep(0.5)
