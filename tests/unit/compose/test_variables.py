"""The compose files and .env.example speak of the same variables and defaults."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

_ANOTHERS = {
    "SERVING_MEMORY": "8g",
    "TRAINER_MEMORY": "16g",
    "BACKUP_PASSPHRASE_FILE": "./configs/no-backup-passphrase",
    "MLFLOW_PASSWORD_FILE": "./configs/no-secrets/mlflow_password",
    "ALERT_WEBHOOK_FILE": "./configs/no-secrets/alert_webhook",
    "ALERT_SMTP_PASSWORD_FILE": "./configs/no-secrets/alert_smtp_password",
    "SECRETS_DIR": "./configs/no-secrets",
}
"""Defaults that differ on purpose: compose.gpu.yml's, and secrets that must be some file where none is named."""
_READ_BY_COMPOSE = {"COMPOSE_FILE", "COMPOSE_PATH_SEPARATOR"}


@pytest.fixture
def used(repository: Path) -> set[tuple[str, str]]:
    """Variable and default, wherever one is put in."""
    text = "".join(path.read_text(encoding="utf-8") for path in repository.glob("*compose*.yml"))
    return set(re.findall(r"\$\{([A-Z0-9_]+):?-([^}]*)\}", text))


@pytest.fixture
def explained(repository: Path) -> dict[str, str]:
    """Variable and value of each line of .env.example, those behind a # too."""
    text = (repository / ".env.example").read_text(encoding="utf-8")
    return dict(re.findall(r"^(?:# )?([A-Z0-9_]+)=(.*)$", text, re.MULTILINE))


def test_each_variable_is_explained_and_used(used: set[tuple[str, str]], explained: dict[str, str]) -> None:
    assert {name for name, _ in used} == set(explained) - _READ_BY_COMPOSE


def test_defaults_are_the_same(used: set[tuple[str, str]], explained: dict[str, str]) -> None:
    plain = {(name, default) for name, default in used if "${" not in default}  # Others are put together of variables.
    differing = {name: default for name, default in plain if default not in {"", explained[name]}}
    assert differing == _ANOTHERS
