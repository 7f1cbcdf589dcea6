"""The stores of the tracking server."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

from handful_mlflow import settings
from handful_mlflow.__main__ import main
from handful_mlflow.errors import JobError
from handful_mlflow.server import server_environment
from handful_mlflow.settings import DatabaseSettings, ObjectStoreSettings


@pytest.fixture
def secrets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(settings, "SECRETS", tmp_path)
    for name, value in (("postgres_password", "p@ss/w:rd %\n"), ("s3_access_key", "key"), ("s3_secret_key", "s3cr3t")):
        (tmp_path / name).write_text(value)
    return tmp_path


@pytest.mark.usefixtures("secrets")
def test_a_password_with_marks_of_addresses_stays_what_it_is() -> None:
    address = urlsplit(DatabaseSettings.read({"POSTGRES_HOST": "db"}).uri)
    assert address.scheme == "postgresql+psycopg2"
    assert (address.hostname, address.port, address.path) == ("db", 5432, "/mlflow")
    assert unquote(address.password or "") == "p@ss/w:rd %"


@pytest.mark.usefixtures("secrets")
def test_secrets_do_not_show_where_settings_are_printed() -> None:
    shown = repr(DatabaseSettings.read({})) + repr(ObjectStoreSettings.read({}))
    assert "p@ss" not in shown
    assert "s3cr3t" not in shown


@pytest.mark.usefixtures("secrets")
@pytest.mark.parametrize(("given", "endpoint"), [({}, "http://minio:9000"), ({"S3_ENDPOINT_URL": ""}, None)])
def test_an_empty_endpoint_is_amazon_s_own(given: dict[str, str], endpoint: str | None) -> None:
    environment = server_environment(DatabaseSettings.read({}), ObjectStoreSettings.read(given))
    assert environment.get("MLFLOW_S3_ENDPOINT_URL") == endpoint
    assert environment["MLFLOW_ARTIFACTS_DESTINATION"] == "s3://mlflow"


def test_a_missing_secret_is_one_line(secrets: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (secrets / "postgres_password").unlink()
    assert main(["migrate"]) == 1
    said = capsys.readouterr().err
    assert said.startswith("error: the secret postgres_password cannot be read (No such file or directory)")
    assert said.count("\n") == 1


@pytest.mark.usefixtures("secrets")
def test_a_port_that_is_none() -> None:
    with pytest.raises(JobError, match="POSTGRES_PORT is 'x'"):
        DatabaseSettings.read({"POSTGRES_PORT": "x"})
