"""What the first start creates: .env, the secrets, the folders that containers write to."""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path
from typing import Any

from compose import secret_files
from compose.docker import DockerCli
from compose.errors import CONFIG, RESOURCE, ComposeError
from console import print_status

_CONTAINER_USER = 10001


def secrets_folder(config: dict[str, Any]) -> Path:
    """The folder that .env names."""
    return Path(config["secrets"]["postgres_password"]["file"]).parent


def check_secrets(config: dict[str, Any], docker: DockerCli) -> None:
    """Refuse placeholders, and a new password where a database was made with an older one.

    Raises:
        ComposeError: a secret is a placeholder or too short, or the database's is gone.
    """
    folder = secrets_folder(config)
    missing = secret_files.missing_in(folder)
    if "postgres_password" in missing and docker.has_volume(config["volumes"]["postgres-data"]["name"]):
        raise ComposeError(
            f"{folder / 'postgres_password'} is gone, but the database that was made with it is there: put it back, or "
            f"see docs/operations.md, Secrets",
            CONFIG,
        )
    for name in secret_files.NAMES:
        if name not in missing:
            secret_files.validate(folder, name)


def create_missing(config: dict[str, Any], root: Path) -> None:
    """Create what is missing.

    Raises:
        ComposeError: it cannot be written.
    """
    try:
        _create_env(root)
        made = secret_files.create_missing(secrets_folder(config))
        for folder in sorted(_mounted_folders(config)):
            _create_folder(folder)
    except OSError as error:
        raise ComposeError(f"{error.filename} cannot be written ({error.strerror})", RESOURCE) from error
    if made:
        print_status(f"made the secrets {', '.join(made)} in {secrets_folder(config)}: keep a copy of them")


def _create_env(root: Path) -> None:
    path = root / ".env"
    if path.exists():
        return
    text = (root / ".env.example").read_text(encoding="utf-8")
    for name, number in zip(("HANDFUL_UID", "HANDFUL_GID"), _own_ids(), strict=True):
        text = re.sub(rf"^{name}=.*$", f"{name}={number}", text, flags=re.MULTILINE)
    path.write_text(text, encoding="utf-8")
    print_status(f"made {path}: what can be set is explained there")


def _own_ids() -> tuple[int, int]:
    """Who owns the exports: the person at the terminal; no container runs as root, so not root."""
    if sys.platform == "win32" or os.getuid() == 0:
        return _CONTAINER_USER, _CONTAINER_USER
    return os.getuid(), os.getgid()


def _mounted_folders(config: dict[str, Any]) -> set[Path]:
    """The folders of this machine that containers see: datasets, exports, models."""
    volumes = (volume for service in config["services"].values() for volume in service.get("volumes", ()))
    return {Path(volume["source"]) for volume in volumes if volume["type"] == "bind"}


def _create_folder(folder: Path) -> None:
    """Docker would create it too, but owned by root."""
    if folder.exists():
        return
    folder.mkdir(parents=True)
    if sys.platform != "win32" and os.getuid() == 0:
        os.chown(folder, *_own_ids())
