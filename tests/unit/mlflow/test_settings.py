"""The stores of the tracking server."""

from __future__ import annotations

import json
import runpy
from pathlib import Path
from urllib.parse import urlsplit

import mlflow
import pytest
from botocore.credentials import SharedCredentialProvider
from mlflow.environment_variables import _MLFLOW_SGI_NAME

from handful_mlflow import settings
from handful_mlflow.__main__ import main
from handful_mlflow.credentials import credential_files, pgpass
from handful_mlflow.errors import JobError
from handful_mlflow.server import login_wanted, server_environment
from handful_mlflow.settings import DatabaseSettings, ObjectStoreSettings

_DATABASE = DatabaseSettings("db", 5432, "mlflow", "mlflow", "password")
_OBJECTS = ObjectStoreSettings("", "bucket", "us-east-1", "path", "key", "secret")


@pytest.fixture
def secrets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(settings, "SECRETS", tmp_path)
    for name, value in (("postgres_password", "p@ss/w:rd %\n"), ("s3_access_key", "key"), ("s3_secret_key", "s3cr3t")):
        (tmp_path / name).write_text(value)
    return tmp_path


@pytest.mark.usefixtures("secrets")
def test_a_password_with_marks_of_addresses_stays_what_it_is() -> None:
    database = DatabaseSettings.read({"POSTGRES_HOST": "db"})
    address = urlsplit(database.uri)
    assert address.scheme == "postgresql+psycopg2"
    assert (address.hostname, address.port, address.path) == ("db", 5432, "/mlflow")
    assert address.password is None, "MLflow shows its address in errors"
    assert pgpass(database) == "db:5432:*:mlflow:p@ss/w\\:rd %\n"


@pytest.mark.usefixtures("secrets")
def test_secrets_do_not_show_where_settings_are_printed() -> None:
    shown = repr(DatabaseSettings.read({})) + repr(ObjectStoreSettings.read({}))
    assert "p@ss" not in shown
    assert "s3cr3t" not in shown


@pytest.mark.usefixtures("secrets")
@pytest.mark.parametrize(("given", "endpoint"), [({}, "http://minio:9000"), ({"S3_ENDPOINT_URL": ""}, None)])
def test_an_empty_endpoint_is_amazon_s_own(given: dict[str, str], endpoint: str | None) -> None:
    with credential_files() as files:
        environment = server_environment(DatabaseSettings.read({}), ObjectStoreSettings.read(given), files)
    assert environment.get("MLFLOW_S3_ENDPOINT_URL") == endpoint
    assert environment["_MLFLOW_SERVER_ARTIFACT_DESTINATION"] == "s3://mlflow"


@pytest.mark.usefixtures("secrets")
def test_no_secret_is_in_the_environment_but_in_files_that_only_this_user_reads() -> None:
    with credential_files() as files:
        environment = server_environment(DatabaseSettings.read({}), ObjectStoreSettings.read({}), files)
        shown = json.dumps(dict(environment))
        assert "p@ss" not in shown
        assert "s3cr3t" not in shown
        paths = [Path(environment[name]) for name in ("PGPASSFILE", "AWS_SHARED_CREDENTIALS_FILE")]
        assert [path.stat().st_mode & 0o777 for path in paths] == [0o600, 0o600]
        keys = botocore_credentials(paths[1])
    assert keys == ("key", "s3cr3t")
    assert not paths[0].exists(), "they are gone with the server"


def botocore_credentials(path: Path) -> tuple[str, str]:
    """The keys as boto3 reads them."""
    found = SharedCredentialProvider(str(path)).load()
    assert found is not None
    return found.access_key, found.secret_key


def test_the_names_by_which_mlflow_tells_its_workers_are_these() -> None:
    with credential_files() as files:
        environment = server_environment(_DATABASE, _OBJECTS, files)
    # Read by itself: the package around it is a server, which takes ten seconds to load.
    constants = runpy.run_path(str(Path(mlflow.__file__).parent / "server" / "constants.py"))
    known = {
        constants["BACKEND_STORE_URI_ENV_VAR"]: _DATABASE.uri,
        constants["REGISTRY_STORE_URI_ENV_VAR"]: _DATABASE.uri,
        constants["ARTIFACT_ROOT_ENV_VAR"]: "mlflow-artifacts:/",
        constants["ARTIFACTS_DESTINATION_ENV_VAR"]: "s3://bucket",
        constants["SERVE_ARTIFACTS_ENV_VAR"]: "true",
        _MLFLOW_SGI_NAME.name: "uvicorn",
    }
    assert {name: value for name, value in environment.items() if name.startswith("_MLFLOW")} == known


def test_secrets_kept_in_volumes_are_found(secrets: Path) -> None:
    (secrets / "postgres_password").unlink()
    (secrets / "database").mkdir()
    (secrets / "database" / "postgres_password").write_text("kept")
    assert DatabaseSettings.read({}).password == "kept"


def test_a_secret_of_two_lines_is_refused(secrets: Path) -> None:
    (secrets / "postgres_password").write_text("one\ntwo\n")
    with pytest.raises(JobError, match="more than one line"):
        DatabaseSettings.read({})


@pytest.mark.parametrize(("given", "wanted"), [("", False), ("off", False), ("On ", True)])
def test_whether_a_login_is_wanted(given: str, wanted: bool) -> None:
    assert login_wanted({"MLFLOW_AUTH": given}) is wanted
    assert login_wanted({}) is False


def test_a_wish_that_is_neither_is_told() -> None:
    with pytest.raises(JobError, match="MLFLOW_AUTH is 'true': it is on or off"):
        login_wanted({"MLFLOW_AUTH": "true"})


@pytest.mark.usefixtures("secrets")
@pytest.mark.parametrize("name", ["POSTGRES_PORT", "POSTGRES_HOST", "POSTGRES_DB", "POSTGRES_USER"])
def test_an_empty_setting_is_the_default(name: str) -> None:
    assert DatabaseSettings.read({name: ""}) == DatabaseSettings.read({})


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
