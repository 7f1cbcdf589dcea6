"""Where the passphrase comes from."""

from __future__ import annotations

from pathlib import Path

import pytest

from handful_backup.cli.options import load_settings, passphrase
from handful_core.errors import ConfigError

_NAME = "HANDFUL_BACKUP_PASSPHRASE"


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    path = tmp_path / "secret"
    path.write_text("words of a file\n", encoding="utf-8")
    return path


def _passphrase(option: Path | None = None) -> str | None:
    return passphrase(load_settings("", "", option, 0))


def test_of_a_file_that_a_setting_or_an_option_names(secret: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert _passphrase() is None
    assert _passphrase(secret) == "words of a file"
    monkeypatch.setenv(f"{_NAME}_FILE", str(secret))
    assert _passphrase() == "words of a file"
    monkeypatch.setenv(_NAME, "words of the environment")
    assert _passphrase() == "words of the environment"
    assert _passphrase(secret) == "words of a file"


def test_a_setting_without_a_value_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(f"{_NAME}_FILE", "")  # As Compose passes on what nobody set.
    monkeypatch.setenv(_NAME, "")
    assert _passphrase() is None


@pytest.mark.parametrize("content", [None, "", " \n"])
def test_a_file_that_is_not_there_or_empty_locks_nothing_silently(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: str | None
) -> None:
    path = tmp_path / "secret"
    if content is not None:
        path.write_text(content, encoding="utf-8")
    monkeypatch.setenv(f"{_NAME}_FILE", str(path))
    with pytest.raises(ConfigError, match=f"{_NAME}_FILE"):
        _passphrase()
    with pytest.raises(ConfigError, match="--passphrase-file"):
        _passphrase(path)
