"""What the first start makes: .env, the secrets, the folders that containers write to."""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path
from typing import Any

from compose import passwords
from compose.engine import Engine
from compose.errors import CONFIG, RESOURCE, ComposeError
from compose.terminal import say

_CONTAINER_USER = 10001


def secrets_folder(config: dict[str, Any]) -> Path:
    """The folder that .env names."""
    return Path(config["secrets"]["postgres_password"]["file"]).parent


def check_secrets(config: dict[str, Any], engine: Engine) -> None:
    """Refuse placeholders, and a new password where a database was made with an older one.

    Raises:
        ComposeError: a secret is a placeholder or too short, or the database's is gone.
    """
    folder = secrets_folder(config)
    missing = passwords.missing_in(folder)
    if "postgres_password" in missing and engine.has_volume(config["volumes"]["postgres-data"]["name"]):
        raise ComposeError(
            f"{folder / 'postgres_password'} is gone, but the database that was made with it is there: put it back, or "
            f"see docs/operations.md, Secrets",
            CONFIG,
        )
    for name in passwords.NAMES:
        if name not in missing:
            passwords.check_one(folder, name)


def make_all(config: dict[str, Any], root: Path) -> None:
    """Make what is missing.

    Raises:
        ComposeError: it cannot be written.
    """
    try:
        _make_env(root)
        made = passwords.make(secrets_folder(config))
        for folder in sorted(_mounted(config)):
            _make_folder(folder)
    except OSError as error:
        raise ComposeError(f"{error.filename} cannot be written ({error.strerror})", RESOURCE) from error
    if made:
        say(f"made the secrets {', '.join(made)} in {secrets_folder(config)}: keep a copy of them")


def _make_env(root: Path) -> None:
    path = root / ".env"
    if path.exists():
        return
    text = (root / ".env.example").read_text(encoding="utf-8")
    for name, number in zip(("HANDFUL_UID", "HANDFUL_GID"), _own_ids(), strict=True):
        text = re.sub(rf"^{name}=.*$", f"{name}={number}", text, flags=re.MULTILINE)
    path.write_text(text, encoding="utf-8")
    say(f"made {path}: what can be set is explained there")


def _own_ids() -> tuple[int, int]:
    """Who owns the exports: the person at the terminal; no container runs as root, so not root."""
    if sys.platform == "win32" or os.getuid() == 0:
        return _CONTAINER_USER, _CONTAINER_USER
    return os.getuid(), os.getgid()


def _mounted(config: dict[str, Any]) -> set[Path]:
    """The folders of this machine that containers see: datasets, exports, models."""
    volumes = (volume for service in config["services"].values() for volume in service.get("volumes", ()))
    return {Path(volume["source"]) for volume in volumes if volume["type"] == "bind"}


def _make_folder(folder: Path) -> None:
    """Docker would make it too, but as root's."""
    if folder.exists():
        return
    folder.mkdir(parents=True)
    if sys.platform != "win32" and os.getuid() == 0:
        os.chown(folder, *_own_ids())
