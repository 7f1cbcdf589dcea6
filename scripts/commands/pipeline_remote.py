"""Where the pipeline's files go: a folder, any S3, or the object store of the Compose stack."""

from __future__ import annotations

import configparser
import os
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path

_CONFIG, _RESOURCE = 2, 6
_NAME, _STACK = "handful", "stack"
"""Names of the remote in .dvc/config: any other place, and the stack's store, whose keys are in its secrets."""
_KEYS = {"AWS_ACCESS_KEY_ID": "s3_access_key", "AWS_SECRET_ACCESS_KEY": "s3_secret_key"}
_LEAST_CHECKSUMS = {
    "AWS_REQUEST_CHECKSUM_CALCULATION": "when_required",
    "AWS_RESPONSE_CHECKSUM_VALIDATION": "when_required",
}
"""Not every object store knows the checksums that botocore adds by itself."""


class RemoteError(Exception):
    """The remote cannot be set or used.

    Args:
        line: what is wrong and what to do about it.
        exit_code: what the program ends with.
    """

    def __init__(self, line: str, exit_code: int = _CONFIG) -> None:
        super().__init__(line)
        self.exit_code = exit_code


def configure_remote(dvc: Callable[..., None], root: Path, place: str, endpoint: str = "") -> None:
    """Write a remote into .dvc/config and make it the one that is used.

    Args:
        dvc: calls DVC.
        root: the checkout.
        place: a folder, s3://BUCKET/PATH, or stack.
        endpoint: of an S3 that is not Amazon's; empty for Amazon's.

    Raises:
        RemoteError: the place is none of these.
    """
    _check(place, endpoint)
    settings = stack_settings(root)
    if place == _STACK:
        name, url, endpoint = _STACK, f"s3://{settings['S3_BUCKET']}/dvc", stack_endpoint(settings)
    else:
        name, url = _NAME, place if place.startswith("s3://") else str(Path(place).expanduser().resolve())
    dvc("remote", "add", "--force", "--default", name, url)
    if endpoint:
        dvc("remote", "modify", name, "endpointurl", endpoint)
        dvc("remote", "modify", name, "region", settings["S3_REGION"])


def _check(place: str, endpoint: str) -> None:
    if place == _STACK:
        if endpoint:
            raise RemoteError("--endpoint and --remote stack both name an address: leave --endpoint out")
        return
    scheme, separator, rest = place.partition("://")
    if separator and scheme != "s3":
        raise RemoteError(f"--remote {place} is no place for it: name a folder, s3://BUCKET/PATH, or stack")
    if separator and not rest.partition("/")[0]:
        raise RemoteError(f"--remote {place} names no bucket: write s3://BUCKET/PATH")
    if endpoint and not separator:
        raise RemoteError("--endpoint belongs to a remote s3://BUCKET/PATH")
    if endpoint and not endpoint.startswith(("http://", "https://")):
        raise RemoteError(f"--endpoint {endpoint} is no address: write http:// or https:// before it")


def remote_environment(root: Path) -> dict[str, str]:
    """What lets DVC into the remote: for the stack's store its keys, unless others are set.

    Raises:
        RemoteError: the stack's secrets cannot be read.
    """
    remote = default_remote(root)
    if not remote or not remote.get("url", "").startswith("s3://"):
        return {}
    found = dict(_LEAST_CHECKSUMS) if "endpointurl" in remote else {}
    if remote["name"] == _STACK and "AWS_ACCESS_KEY_ID" not in os.environ:
        given = stack_settings(root)["SECRETS_DIR"]
        read = _given_secret(root / given) if given else _kept_secret(root)
        found |= {variable: read(name) for variable, name in _KEYS.items()}
    return found


def default_remote(root: Path) -> dict[str, str] | None:
    """The remote that DVC uses, with its name; None if there is none.

    Raises:
        RemoteError: DVC's configuration is damaged.
    """
    config = configparser.ConfigParser(interpolation=None)
    files = [root / ".dvc" / "config", root / ".dvc" / "config.local"]
    try:
        config.read(files, encoding="utf-8")
    except (configparser.Error, UnicodeDecodeError) as error:
        raise RemoteError(f".dvc/config cannot be read ({error.args[0]}): correct it") from error
    name = config.get("core", "remote", fallback="")
    section = f"'remote \"{name}\"'"
    return {"name": name, **config[section]} if config.has_section(section) else None


def stack_settings(root: Path) -> Mapping[str, str]:
    """The settings of the Compose stack that matter here: from .env, else as they are by default."""
    found = {
        "SECRETS_DIR": "",
        "S3_BUCKET": "mlflow",
        "S3_REGION": "us-east-1",
        "BIND_ADDRESS": "127.0.0.1",
        "MINIO_API_PORT": "9000",
    }
    path = root / ".env"
    lines = path.read_text(encoding="utf-8").splitlines() if path.is_file() else []
    pairs = (line.partition("=") for line in lines if not line.lstrip().startswith("#"))
    return found | {key.strip(): value.strip().strip("'\"") for key, _, value in pairs if value.strip()}


def stack_endpoint(settings: Mapping[str, str]) -> str:
    """The address of the stack's store on this machine: compose.objects.yml publishes it."""
    address = settings["BIND_ADDRESS"]
    host = "127.0.0.1" if address in {"0.0.0.0", "::"} else address  # noqa: S104  # To be compared with.
    return f"http://{host}:{settings['MINIO_API_PORT']}"


def _given_secret(folder: Path) -> Callable[[str], str]:
    """Reads the files in SECRETS_DIR."""

    def read(name: str) -> str:
        try:
            return (folder / name).read_text(encoding="utf-8").strip()
        except OSError as error:
            raise _unread_key(f"{folder / name}: {error.strerror}") from None

    return read


def _kept_secret(root: Path) -> Callable[[str], str]:
    """Asks the running stack, which keeps its secrets in volumes."""

    def read(name: str) -> str:
        words = ["docker", "compose", "exec", "-T", "mlflow", "cat", f"/run/secrets/objects/{name}"]
        try:
            done = subprocess.run(words, cwd=root, capture_output=True, text=True, check=False, timeout=60)
        except (OSError, subprocess.TimeoutExpired) as error:
            raise _unread_key(str(error)) from None
        if done.returncode or not done.stdout.strip():
            raise _unread_key((done.stderr.strip().splitlines() or ["docker says nothing"])[-1])
        return done.stdout.strip()

    return read


def _unread_key(reason: str) -> RemoteError:
    return RemoteError(
        f"the key of the stack's object store cannot be read ({reason}): start the stack with scripts/up, or set "
        "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY",
        _RESOURCE,
    )
