"""The secrets: one file each, made at random, never in the environment of a container.

The folder is for its owner alone. The files in it can be read by all: containers run as users of their own, who see the
files that are given to them, and nobody else on this machine gets into the folder.
"""

from __future__ import annotations

import re
import secrets
from pathlib import Path

from compose.errors import CONFIG, RESOURCE, ComposeError

NAMES = ("postgres_password", "s3_access_key", "s3_secret_key")
_KEY_NAMES = frozenset({"s3_access_key"})
_SHORTEST = 16
_SHORTEST_KEY_NAME = 3
_PLACEHOLDER = re.compile(
    r"change.?(it|me|this)|example|placeholder|password|minioadmin|secret|^x+$|[<>]", re.IGNORECASE
)


def create_missing(folder: Path) -> list[str]:
    """Create the secrets that are missing.

    Returns:
        The names of those that were made.

    Raises:
        ComposeError: the folder cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        missing = missing_in(folder)
        for name in missing:
            write(folder / name, random_value(name))
    except OSError as error:
        raise ComposeError(
            f"the secrets cannot be written to {folder} ({error.strerror}): set SECRETS_DIR in .env to another folder",
            RESOURCE,
        ) from error
    return missing


def random_value(name: str) -> str:
    """A new secret. The name of a key is no secret, and everybody's is the same."""
    return "handful" if name in _KEY_NAMES else secrets.token_hex(24)


def missing_in(folder: Path) -> list[str]:
    """The names of the secrets that are not there."""
    return [name for name in NAMES if not (folder / name).exists()]


def validate_all(folder: Path) -> None:
    """Refuse what is no secret.

    Raises:
        ComposeError: one is missing, unreadable, a placeholder or too short. The line never shows it.
    """
    for name in NAMES:
        validate(folder, name)


def validate(folder: Path, name: str) -> None:
    """As `validate_all`, for one."""
    path = folder / name
    try:
        value = path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is no text"
        raise ComposeError(f"the secret {path} cannot be read ({reason}): {_advice(name)}", CONFIG) from error
    if not value:
        raise ComposeError(f"the secret {path} is empty: {_advice(name)}", CONFIG)
    if name in _KEY_NAMES:
        if len(value) < _SHORTEST_KEY_NAME:
            raise ComposeError(f"{path} has fewer than {_SHORTEST_KEY_NAME} characters: {_advice(name)}", CONFIG)
        return
    if _PLACEHOLDER.search(value):
        raise ComposeError(f"the secret {path} is a placeholder: {_advice(name)}", CONFIG)
    if len(value) < _SHORTEST:
        raise ComposeError(f"the secret {path} has fewer than {_SHORTEST} characters: {_advice(name)}", CONFIG)


def _advice(name: str) -> str:
    return (
        f"delete {name} in the folder of secrets and run scripts/up, which makes a new one, or write your own into it"
    )


def write(path: Path, value: str) -> None:
    """Write it in one step, since a container may read it at any time, and readable for all whatever the umask."""
    draft = path.with_name(f".{path.name}.new")
    draft.unlink(missing_ok=True)  # Of a write that was interrupted.
    draft.write_text(value, encoding="utf-8", newline="")
    draft.chmod(0o444)
    draft.replace(path)
