from __future__ import annotations

import socket
from pathlib import Path

import pytest

from handful_core.errors import ConfigError, ResourceError
from handful_core.listening import listen
from handful_core.settings import load
from handful_serving import cli
from handful_serving.settings import ServingSettings


def test_without_any_variable_the_defaults_hold() -> None:
    settings = load(ServingSettings)
    assert (settings.host, settings.port, settings.default_model) == ("127.0.0.1", 8000, "fingers")
    assert (settings.models, settings.poll_seconds, settings.max_loaded) == ((), 2, 4)
    assert (settings.max_body_bytes, settings.max_pixels) == (20_000_000, 50_000_000)
    assert settings.dashboard_dir is None


def test_models_are_listed_with_commas(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HANDFUL_SERVING_MODELS", "fingers, leaves,")
    monkeypatch.setenv("HANDFUL_SERVING_LOG_LEVEL", "WARNING")
    monkeypatch.setenv("HANDFUL_SERVING_CORS_ORIGINS", "https://vision.example.com, http://localhost:3000,*")
    settings = load(ServingSettings)
    assert settings.models == ("fingers", "leaves")
    assert settings.log_level == "warning"
    assert settings.cors_origins == ("https://vision.example.com", "http://localhost:3000", "*")


@pytest.mark.parametrize(
    ("name", "value"),
    [("PORT", "0"), ("PORT", "many"), ("POLL_SECONDS", "0"), ("MAX_LOADED", "0"), ("THREADS", "-1"),
     ("MAX_BODY_BYTES", "20 MB"), ("LOG_LEVEL", "loud"), ("CORS_ORIGINS", "https://a.example,b.example"),
     ("CORS_ORIGINS", "https://a.example/")],
)  # fmt: skip
def test_a_wrong_variable_is_named(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    monkeypatch.setenv(f"HANDFUL_SERVING_{name}", value)
    with pytest.raises(ConfigError, match=rf"HANDFUL_SERVING_{name} is wrong \((?!Value error)"):
        load(ServingSettings)


def test_options_count_more_than_variables(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HANDFUL_SERVING_PORT", "1234")
    monkeypatch.setenv("HANDFUL_SERVING_HOST", "0.0.0.0")  # noqa: S104  # Only a setting: nothing listens.
    settings = cli._settings(port=4321, host=None, dashboard_dir=tmp_path)
    assert (settings.port, settings.host, settings.dashboard_dir) == (4321, "0.0.0.0", tmp_path)  # noqa: S104


def test_in_a_working_copy_the_dashboard_is_found(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, repository: Path
) -> None:
    assert cli._settings().dashboard_dir == repository / "dashboard"
    monkeypatch.setenv("HANDFUL_SERVING_DASHBOARD_DIR", str(tmp_path))
    assert cli._settings().dashboard_dir == tmp_path


def test_installed_elsewhere_there_is_none(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(cli, "__file__", str(tmp_path / "a" / "b" / "c" / "d" / "cli.py"))
    assert cli._settings().dashboard_dir is None


def test_a_port_that_is_taken_is_told_of() -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        with pytest.raises(ResourceError) as caught:
            listen("127.0.0.1", port)
    assert f"port {port} on 127.0.0.1 cannot be used" in str(caught.value)
    assert "--port" in str(caught.value)


def test_a_free_port_is_taken() -> None:
    with listen("127.0.0.1", 0) as listening:
        port = listening.getsockname()[1]
        listening.listen()
        with socket.create_connection(("127.0.0.1", port), timeout=5):
            pass


@pytest.mark.parametrize("host", ["no such host", "256.1.1.1"])
def test_a_host_that_is_none_is_told_of(host: str) -> None:
    with pytest.raises(ConfigError, match=r"is not an address to listen on .*correct --host"):
        listen(host, 8000)


def test_an_address_of_another_machine_is_told_of() -> None:
    with pytest.raises(ResourceError, match="correct --host and --port"):
        listen("192.0.2.1", 8000)
