"""The login to MLflow: where MLflow's own client finds it."""

from __future__ import annotations

from base64 import b64decode
from pathlib import Path

import httpx
import pytest
from mlflow.utils.credentials import read_mlflow_creds

from handful_core.errors import ConfigError
from handful_core.registry import Registry

_NAMES = ("MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_PASSWORD", "MLFLOW_TRACKING_TOKEN")


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home folder without a login, and an environment without one."""
    for name in _NAMES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    (tmp_path / ".mlflow").mkdir()
    return tmp_path


def _sent(uri: str = "http://mlflow") -> str | None:
    """The header that a question to MLflow carries; a login in words."""
    seen: list[str | None] = []

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(request.headers.get("Authorization"))
        return httpx.Response(200, json={})

    with Registry(uri, transport=httpx.MockTransport(answer)) as registry:
        registry.models()
    (header,) = seen
    kind, _, value = (header or "").partition(" ")
    return b64decode(value).decode() if kind == "Basic" else header


def _write(home: Path, user: str, password: str) -> None:
    text = f"[mlflow]\nmlflow_tracking_username = {user}\nmlflow_tracking_password = {password}\n"
    (home / ".mlflow" / "credentials").write_text(text)


def test_without_a_login_none_is_sent() -> None:
    assert _sent() is None


def test_the_file_s_login_is_sent_as_mlflow_s_client_would(home: Path) -> None:
    _write(home, "admin", "100%% : é")
    assert _sent() == ":".join(map(str, read_mlflow_creds())) == "admin:100% : é"


def test_the_environment_counts_more(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _write(home, "admin", "from the file")
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", "from outside")
    assert _sent() == ":".join(map(str, read_mlflow_creds())) == "admin:from outside"


def test_a_token_is_sent_where_there_is_no_login(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_TOKEN", "t0ken")
    assert _sent() == "Bearer t0ken"
    _write(home, "admin", "password")
    assert _sent() == "admin:password"


def test_a_login_in_the_address_counts_most(home: Path) -> None:
    _write(home, "admin", "password")
    assert _sent("http://ada:secret@mlflow") == "ada:secret"


def test_a_new_password_holds_at_once(home: Path) -> None:
    seen: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(request.headers["Authorization"])
        return httpx.Response(200, json={})

    with Registry("http://mlflow", transport=httpx.MockTransport(answer)) as registry:
        for password in ("old", "new"):
            _write(home, "admin", password)
            registry.models()
    assert len(set(seen)) == 2


@pytest.mark.parametrize("text", ["no ini", "[mlflow]\nmlflow_tracking_password = 100%\nmlflow_tracking_username = a"])
def test_a_damaged_file_is_one_line_that_does_not_show_it(home: Path, text: str) -> None:
    (home / ".mlflow" / "credentials").write_text(text)
    with pytest.raises(ConfigError, match=r"\.mlflow.credentials cannot be read") as told:
        _sent()
    assert "100" not in str(told.value)


def test_a_file_of_somebody_else_s_is_no_login(home: Path) -> None:
    (home / ".mlflow" / "credentials").write_text("[other]\nmlflow_tracking_username = a\n")
    assert _sent() is None
