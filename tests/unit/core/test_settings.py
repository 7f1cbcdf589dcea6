from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic import ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from handful_backup.settings import BackupSettings
from handful_core.errors import ConfigError
from handful_core.running import RunningServers, announced
from handful_core.settings import CoreSettings, load
from handful_serving.settings import ServingSettings
from handful_trainer.dataset.picsellia.settings import PicselliaSettings


class Odd(BaseSettings):
    model_config = SettingsConfigDict(env_prefix="HANDFUL_ODD_")

    number: int = 1
    names: list[str] = []


def test_without_any_variable_the_defaults_hold() -> None:
    settings = load(CoreSettings)
    assert settings.home == Path("var")
    assert settings.mlflow_uri == "http://127.0.0.1:5000"
    assert settings.server == "http://127.0.0.1:8000"


@pytest.mark.parametrize("variable", ["HANDFUL_MLFLOW_URI", "MLFLOW_TRACKING_URI"])
def test_mlflows_own_variable_is_understood_too(monkeypatch: pytest.MonkeyPatch, variable: str) -> None:
    monkeypatch.setenv(variable, "http://mlflow:5000")
    assert load(CoreSettings).mlflow_uri == "http://mlflow:5000"


def test_our_variable_counts_more_than_mlflows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://theirs")
    monkeypatch.setenv("HANDFUL_MLFLOW_URI", "http://ours")
    assert load(CoreSettings).mlflow_uri == "http://ours"


@pytest.mark.parametrize("kind", [CoreSettings, ServingSettings, PicselliaSettings, BackupSettings])
def test_an_empty_variable_means_the_default(monkeypatch: pytest.MonkeyPatch, kind: type[BaseSettings]) -> None:
    defaults = load(kind)
    for name in kind.model_fields:
        monkeypatch.setenv(f"{kind.model_config['env_prefix']}{name}".upper(), "")
    assert load(kind) == defaults


def test_settings_do_not_change() -> None:
    with pytest.raises(ValidationError):
        load(CoreSettings).home = Path("elsewhere")  # type: ignore[misc]


def test_a_wrong_variable_is_named_but_its_value_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HANDFUL_ODD_NUMBER", "secret")
    with pytest.raises(ConfigError) as caught:
        load(Odd)
    assert "the environment variable HANDFUL_ODD_NUMBER is wrong" in str(caught.value)
    assert "secret" not in str(caught.value).replace("HANDFUL_ODD_NUMBER", "")


def test_a_misspelt_variable_is_told_of_once(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("HANDFUL_SERVING_CAPTUR", "all")
    monkeypatch.setenv("HANDFUL_SERVING_SERVICE_HOST", "10.0.0.1")  # Kubernetes sets it beside a Service.
    for _ in range(2):
        load(ServingSettings)
    told = capsys.readouterr().err
    assert told.splitlines() == [
        "warning: HANDFUL_SERVING_CAPTUR is ignored, there is no such setting: did you mean HANDFUL_SERVING_CAPTURE?"
    ]


def test_a_list_that_cannot_be_read_is_a_matter_of_configuration(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HANDFUL_ODD_NAMES", "a,b")
    with pytest.raises(ConfigError, match="names"):
        load(Odd)


class Listening:
    """Two ports that somebody listens on."""

    def __init__(self) -> None:
        self._sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(2)]
        self.servers = RunningServers(*(f"http://127.0.0.1:{each.getsockname()[1]}" for each in self._sockets))

    def close(self) -> None:
        for each in self._sockets:
            each.close()


@pytest.fixture
def listening() -> Iterator[Listening]:
    listening = Listening()
    yield listening
    listening.close()


def test_servers_that_run_here_are_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, listening: Listening) -> None:
    monkeypatch.chdir(tmp_path)
    with announced(tmp_path / "var", listening.servers):
        settings = load(CoreSettings)
        assert (settings.server, settings.mlflow_uri) == (listening.servers.server, listening.servers.mlflow_uri)
        monkeypatch.setenv("HANDFUL_HOME", str(tmp_path / "other"))
        assert load(CoreSettings).server == "http://127.0.0.1:8000"
    monkeypatch.delenv("HANDFUL_HOME")
    assert load(CoreSettings).mlflow_uri == "http://127.0.0.1:5000"


@pytest.mark.parametrize("variable", ["HANDFUL_MLFLOW_URI", "MLFLOW_TRACKING_URI"])
def test_what_is_set_counts_more_than_what_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, listening: Listening, variable: str
) -> None:
    monkeypatch.setenv("HANDFUL_HOME", str(tmp_path))
    monkeypatch.setenv(variable, "http://mlflow:5000")
    with announced(tmp_path, listening.servers):
        settings = load(CoreSettings)
        assert (settings.server, settings.mlflow_uri) == (listening.servers.server, "http://mlflow:5000")
        monkeypatch.setenv("HANDFUL_SERVER", "http://elsewhere")
        assert load(CoreSettings).server == "http://elsewhere"
        assert CoreSettings(mlflow_uri="http://given").mlflow_uri == "http://given"


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"server": 5, "mlflow_uri": null}', "\0", None])
def test_a_note_of_servers_that_are_gone_counts_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, listening: Listening, content: str | None
) -> None:
    monkeypatch.setenv("HANDFUL_HOME", str(tmp_path))
    with announced(tmp_path, listening.servers):
        if content is not None:
            (tmp_path / "run" / "servers.json").write_text(content)
        listening.close()
        assert load(CoreSettings).server == "http://127.0.0.1:8000"
