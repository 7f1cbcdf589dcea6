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
_NOT_GIVEN = "no-secrets"
"""The folder of empty files that stand where none are given."""


def given_secrets(config: dict[str, Any]) -> Path | None:
    """The folder that SECRETS_DIR names; None if the stack makes its secrets itself and keeps them in volumes."""
    folder = Path(config["secrets"]["postgres_password"]["file"]).parent
    return None if folder.name == _NOT_GIVEN else folder


def check_secrets(config: dict[str, Any], docker: DockerCli) -> None:
    """Refuse placeholders among those that are given, and a new password where a database was made with an older one.

    Raises:
        ComposeError: a secret is a placeholder or too short, or the database's is gone.
    """
    folder = given_secrets(config)
    if folder is None:
        return
    missing = secret_files.missing_in(folder)
    if "postgres_password" in missing and docker.has_volume(config["volumes"]["postgres-data"]["name"]):
        kept = config["volumes"].get("database-secret", {}).get("name")
        other = "leave SECRETS_DIR empty in .env: the stack has kept a copy" if kept and docker.has_volume(kept) else ""
        raise ComposeError(
            f"{folder / 'postgres_password'} is gone, but the database that was made with it is there: put it back, or "
            f"{other or 'see docs/operations.md, Secrets'}",
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
        folder = given_secrets(config)
        made = secret_files.create_missing(folder) if folder else []
        for folder in sorted(_mounted_folders(config)):
            _create_folder(folder)
    except OSError as error:
        raise ComposeError(f"{error.filename} cannot be written ({error.strerror})", RESOURCE) from error
    if made:
        print_status(f"made the secrets {', '.join(made)} in {folder}: keep a copy of them")


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
