"""Where the pipeline's files go."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from commands.pipeline_remote import (
    RemoteError,
    configure_remote,
    default_remote,
    remote_environment,
    stack_endpoint,
    stack_settings,
)


@pytest.fixture(autouse=True)
def _no_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def calls() -> list[tuple[str, ...]]:
    return []


def configure(calls: list[tuple[str, ...]], root: Path, place: str, endpoint: str = "") -> None:
    configure_remote(lambda *words: calls.append(words), root, place, endpoint)


def write_config(root: Path, name: str, *lines: str) -> None:
    (root / ".dvc").mkdir()
    text = "\n".join(["[core]", f"    remote = {name}", f"['remote \"{name}\"']", *(f"    {line}" for line in lines)])
    (root / ".dvc" / "config").write_text(text + "\n")


def test_a_folder(calls: list[tuple[str, ...]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    configure(calls, tmp_path, "store")
    assert calls == [("remote", "add", "--force", "--default", "handful", str(tmp_path / "store"))]


def test_amazon(calls: list[tuple[str, ...]], tmp_path: Path) -> None:
    configure(calls, tmp_path, "s3://bucket/path")
    assert calls == [("remote", "add", "--force", "--default", "handful", "s3://bucket/path")]


def test_another_s3(calls: list[tuple[str, ...]], tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("S3_REGION=eu-west-3\n")
    configure(calls, tmp_path, "s3://bucket/path", "https://s3.example.org")
    assert calls[1:] == [
        ("remote", "modify", "handful", "endpointurl", "https://s3.example.org"),
        ("remote", "modify", "handful", "region", "eu-west-3"),
    ]


def test_the_stack_s_store(calls: list[tuple[str, ...]], tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("# S3_BUCKET=no\nS3_BUCKET=artifacts\nMINIO_API_PORT=9100\nBIND_ADDRESS=0.0.0.0\n")
    configure(calls, tmp_path, "stack")
    assert calls == [
        ("remote", "add", "--force", "--default", "stack", "s3://artifacts/dvc"),
        ("remote", "modify", "stack", "endpointurl", "http://127.0.0.1:9100"),
        ("remote", "modify", "stack", "region", "us-east-1"),
    ]


@pytest.mark.parametrize(
    ("place", "endpoint", "said"),
    [
        ("gs://bucket", "", "gs://bucket is no place for it"),
        ("https://example.org/store", "", "is no place for it"),
        ("/some/folder", "http://127.0.0.1:9000", "--endpoint belongs to a remote s3://"),
        ("stack", "http://127.0.0.1:9000", "leave --endpoint out"),
        ("s3://", "", "names no bucket"),
        ("s3:///path", "", "names no bucket"),
        ("s3://bucket/path", "minio:9000", "http:// or https://"),
    ],
)
def test_what_is_no_place_is_told_and_nothing_is_changed(
    calls: list[tuple[str, ...]], tmp_path: Path, place: str, endpoint: str, said: str
) -> None:
    with pytest.raises(RemoteError, match=said) as caught:
        configure(calls, tmp_path, place, endpoint)
    assert caught.value.exit_code == 2
    assert calls == []


def test_the_stack_s_keys_are_taken_from_its_secrets(tmp_path: Path) -> None:
    write_config(tmp_path, "stack", "url = s3://mlflow/dvc", "endpointurl = http://127.0.0.1:9000")
    (tmp_path / ".env").write_text("SECRETS_DIR=./own\n")
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "s3_access_key").write_text("handful\n")
    (tmp_path / "own" / "s3_secret_key").write_text("a%long(key)s\n")
    found = remote_environment(tmp_path)
    assert (found["AWS_ACCESS_KEY_ID"], found["AWS_SECRET_ACCESS_KEY"]) == ("handful", "a%long(key)s")
    assert found["AWS_REQUEST_CHECKSUM_CALCULATION"] == "when_required"


def test_keys_that_are_set_count_more(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_config(tmp_path, "stack", "url = s3://mlflow/dvc", "endpointurl = http://127.0.0.1:9000")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "mine")
    assert "AWS_ACCESS_KEY_ID" not in remote_environment(tmp_path)


def test_secrets_that_are_missing_are_told(tmp_path: Path) -> None:
    write_config(tmp_path, "stack", "url = s3://mlflow/dvc", "endpointurl = http://127.0.0.1:9000")
    (tmp_path / ".env").write_text("SECRETS_DIR=./secrets\n")
    with pytest.raises(RemoteError, match=r"s3_access_key: No such file or directory.*scripts/up") as caught:
        remote_environment(tmp_path)
    assert caught.value.exit_code == 6


def _docker(folder: Path, monkeypatch: pytest.MonkeyPatch, body: str) -> None:
    """A `docker` that does this."""
    folder.mkdir()
    program = folder / "docker"
    program.write_text(f"#!/bin/sh\n{body}\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(folder), prepend=os.pathsep)


@pytest.mark.skipif(os.name == "nt", reason="it plays docker with a shell script")
def test_the_stack_is_asked_for_keys_that_it_keeps_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_config(tmp_path, "stack", "url = s3://mlflow/dvc", "endpointurl = http://127.0.0.1:9000")
    _docker(tmp_path / "bin", monkeypatch, 'shift 4; echo "$@ of $PWD"')
    found = remote_environment(tmp_path)
    assert found["AWS_ACCESS_KEY_ID"] == f"cat /run/secrets/objects/s3_access_key of {tmp_path}"
    assert found["AWS_SECRET_ACCESS_KEY"] == f"cat /run/secrets/objects/s3_secret_key of {tmp_path}"


@pytest.mark.skipif(os.name == "nt", reason="it plays docker with a shell script")
def test_a_stack_that_does_not_run_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_config(tmp_path, "stack", "url = s3://mlflow/dvc", "endpointurl = http://127.0.0.1:9000")
    _docker(tmp_path / "bin", monkeypatch, "echo 'service mlflow is not running' >&2; exit 1")
    with pytest.raises(RemoteError, match=r"service mlflow is not running.*start the stack with scripts/up") as caught:
        remote_environment(tmp_path)
    assert caught.value.exit_code == 6


def test_a_folder_and_amazon_need_nothing(tmp_path: Path) -> None:
    assert default_remote(tmp_path) is None
    assert remote_environment(tmp_path) == {}
    write_config(tmp_path, "handful", "url = /store")
    assert remote_environment(tmp_path) == {}
    (tmp_path / ".dvc" / "config.local").write_text("['remote \"handful\"']\n    url = s3://bucket/path\n")
    assert default_remote(tmp_path) == {"name": "handful", "url": "s3://bucket/path"}
    assert remote_environment(tmp_path) == {}


def test_a_damaged_configuration_is_told(tmp_path: Path) -> None:
    (tmp_path / ".dvc").mkdir()
    (tmp_path / ".dvc" / "config").write_text("remote = x\n")
    with pytest.raises(RemoteError, match=r"\.dvc/config cannot be read"):
        remote_environment(tmp_path)


def test_defaults_are_those_of_the_stack(repository: Path, tmp_path: Path) -> None:
    explained = stack_settings(repository_with_example(repository, tmp_path))
    defaults = stack_settings(tmp_path / "none")
    assert {name: explained[name] for name in defaults} == defaults
    assert stack_endpoint(stack_settings(tmp_path / "none")) == "http://127.0.0.1:9000"


def repository_with_example(repository: Path, tmp_path: Path) -> Path:
    """A checkout whose .env has every setting of the example, those behind a # too."""
    text = (repository / ".env.example").read_text(encoding="utf-8")
    lines = [
        line.removeprefix("# ") if "=" in line.partition(" ")[2].partition(" ")[0] else line
        for line in text.splitlines()
    ]
    (tmp_path / "example").mkdir()
    (tmp_path / "example" / ".env").write_text("\n".join(lines), encoding="utf-8")
    return tmp_path / "example"
