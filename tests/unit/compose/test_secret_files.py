"""The secrets' files."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from compose.errors import CONFIG, ComposeError
from compose.secret_files import NAMES, create_missing, missing_in, validate_all


def test_made_secrets_pass_their_own_check_and_differ(tmp_path: Path) -> None:
    folders = [tmp_path / "one", tmp_path / "two"]
    for folder in folders:
        assert create_missing(folder) == list(NAMES)
        validate_all(folder)
    passwords = {(folder / name).read_text() for folder in folders for name in ("postgres_password", "s3_secret_key")}
    assert len(passwords) == 4
    assert min(map(len, passwords)) >= 32


def test_what_is_there_stays(tmp_path: Path) -> None:
    (tmp_path / "s3_secret_key").write_text("0123456789abcdef")
    assert create_missing(tmp_path) == ["postgres_password", "s3_access_key"]
    assert (tmp_path / "s3_secret_key").read_text() == "0123456789abcdef"
    assert create_missing(tmp_path) == []


@pytest.mark.skipif(os.name == "nt", reason="POSIX rights")
def test_the_folder_is_closed_and_the_files_are_open_to_the_containers_users(tmp_path: Path) -> None:
    old = os.umask(0o077)
    try:
        create_missing(tmp_path / "secrets")
    finally:
        os.umask(old)
    assert (tmp_path / "secrets").stat().st_mode & 0o777 == 0o700
    assert {(tmp_path / "secrets" / name).stat().st_mode & 0o777 for name in NAMES} == {0o444}


@pytest.mark.parametrize(
    "value",
    ["changeme-0123456789", "CHANGE_ME_0123456789", "please change this one", "your-password-is-here", "<secret>"],
)
def test_placeholders_are_refused_and_not_repeated(tmp_path: Path, value: str) -> None:
    create_missing(tmp_path)
    _replace(tmp_path / "s3_secret_key", value)
    with pytest.raises(ComposeError, match="s3_secret_key is a placeholder") as refused:
        validate_all(tmp_path)
    assert value not in str(refused.value)
    assert refused.value.exit_code == CONFIG


@pytest.mark.parametrize(
    ("name", "value", "line"),
    [
        ("postgres_password", " \n", "is empty"),
        ("postgres_password", "short-but-random", None),
        ("postgres_password", "shorter-than-so", "fewer than 16 characters"),
        ("s3_access_key", "ab", "fewer than 3 characters"),
        ("s3_access_key", "AKIA", None),
    ],
)
def test_length(tmp_path: Path, name: str, value: str, line: str | None) -> None:
    create_missing(tmp_path)
    _replace(tmp_path / name, value)
    if line is None:
        validate_all(tmp_path)
        return
    with pytest.raises(ComposeError, match=line):
        validate_all(tmp_path)


def test_a_missing_one_is_named(tmp_path: Path) -> None:
    create_missing(tmp_path)
    (tmp_path / "s3_access_key").unlink()
    assert missing_in(tmp_path) == ["s3_access_key"]
    with pytest.raises(ComposeError, match="s3_access_key cannot be read"):
        validate_all(tmp_path)


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ComposeError, match=r"set SECRETS_DIR in \.env"):
        create_missing(tmp_path / "file" / "secrets")


def _replace(path: Path, value: str) -> None:
    path.unlink()
    path.write_text(value)
