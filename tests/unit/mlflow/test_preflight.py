"""The secrets: made once, kept, given ones taken, and a lost one never replaced by one that cannot work."""

from __future__ import annotations

from pathlib import Path

import pytest
from mlflow.utils import credentials as mlflow_credentials

from handful_mlflow import preflight
from handful_mlflow.credentials import login_text, read_login
from handful_mlflow.errors import JobError

_NAMES = {
    "database-secret/postgres_password",
    "objects-secret/s3_access_key",
    "objects-secret/s3_secret_key",
    "mlflow-login/credentials",
    "metrics-secret/metrics_key",
    "grafana-secret/grafana_password",
    "grafana-secret/grafana_secret_key",
    "alertmanager-config/alertmanager.yml",
}


@pytest.fixture
def given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The files that Compose mounts, empty as they are where nothing is given, and new volumes."""
    folder, volumes = tmp_path / "given", tmp_path / "volumes"
    monkeypatch.setattr(preflight, "SECRETS", folder)
    monkeypatch.setattr(preflight, "VOLUMES", volumes)
    template = Path(__file__).parents[3] / "configs" / "monitoring" / "alertmanager" / "alertmanager.yml"
    monkeypatch.setattr(preflight, "ALERTING", template)
    for name in ("postgres", *(path.partition("/")[0] for path in _NAMES)):
        (volumes / name).mkdir(parents=True, exist_ok=True)
    folder.mkdir()
    for name in (
        *("postgres_password", "s3_access_key", "s3_secret_key", "mlflow_password"),
        *("alert_webhook", "alert_smtp_password"),
    ):
        (folder / name).touch()
    return folder


def _kept(given: Path) -> dict[str, str]:
    volumes = given.parent / "volumes"
    return {str(p.relative_to(volumes)): p.read_text() for p in volumes.rglob("*") if p.is_file()}


def test_a_first_start_makes_them_and_the_next_keeps_them(given: Path, capsys: pytest.CaptureFixture[str]) -> None:
    preflight.preflight()
    made = _kept(given)
    assert set(made) == _NAMES
    said = capsys.readouterr().out
    assert said.startswith("made the secrets postgres_password, s3_access_key, s3_secret_key, metrics_key, grafana_")
    secrets = [text for path, text in made.items() if path.startswith(("metrics-secret", "grafana-secret"))]
    secrets += [made["database-secret/postgres_password"], made["objects-secret/s3_secret_key"]]
    secrets.append(read_login(given.parent / "volumes" / "mlflow-login" / "credentials")[1])
    assert len(set(secrets)) == 6
    assert min(map(len, secrets)) >= 32
    assert not [secret for secret in secrets if secret in said]
    preflight.preflight()
    assert _kept(given) == made
    assert capsys.readouterr().out == ""


def test_containers_of_any_user_read_them(given: Path) -> None:
    preflight.preflight()
    modes = {path.stat().st_mode & 0o777 for path in (given.parent / "volumes").rglob("*") if path.is_file()}
    assert modes == {0o444}


def test_given_ones_are_taken_and_taken_anew_when_they_change(given: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRETS_GIVEN", "yes")
    (given / "s3_access_key").write_text("AKIA")
    for value in ("a" * 20, "b" * 20):
        for name in ("postgres_password", "s3_secret_key"):
            (given / name).write_text(f"{value}\n")
        preflight.preflight()
        kept = _kept(given)
        assert kept["database-secret/postgres_password"] == kept["objects-secret/s3_secret_key"] == value
    monkeypatch.delenv("SECRETS_GIVEN")
    for name in ("postgres_password", "s3_access_key", "s3_secret_key"):
        (given / name).write_text("")
    preflight.preflight()
    assert _kept(given) == kept, "without the folder, the stack goes on with what it has kept"


@pytest.mark.parametrize(("value", "line"), [("changeme-0123456789", "is a placeholder"), (" \n", "is empty")])
def test_a_given_one_that_is_none_is_refused(
    given: Path, monkeypatch: pytest.MonkeyPatch, value: str, line: str
) -> None:
    monkeypatch.setenv("SECRETS_GIVEN", "yes")
    (given / "postgres_password").write_text(value)
    with pytest.raises(JobError, match=line) as refused:
        preflight.preflight()
    assert "changeme" not in str(refused.value)
    assert _kept(given) == {}


def test_a_folder_of_empty_files_that_is_given_is_no_wish_for_new_ones(
    given: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SECRETS_GIVEN", "yes")
    with pytest.raises(JobError, match="postgres_password is empty"):
        preflight.preflight()


@pytest.mark.parametrize("closed", [False, True])
def test_a_lost_password_is_not_replaced(given: Path, monkeypatch: pytest.MonkeyPatch, closed: bool) -> None:
    (given.parent / "volumes" / "postgres" / "PG_VERSION").touch()
    if closed:  # As Postgres leaves it; the tests may run as root, who gets in anywhere.
        monkeypatch.setattr(Path, "iterdir", _closed)
    with pytest.raises(JobError, match="the database is there, but the password that it was made with is not"):
        preflight.preflight()
    assert "database-secret/postgres_password" not in _kept(given)


def _closed(path: Path) -> object:
    raise PermissionError(13, "Permission denied", str(path))


def test_a_given_password_of_mlflow_is_what_its_clients_send(given: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (given / "mlflow_password").write_text("50 %(is) fine: isn't it; #really\n")
    preflight.preflight()
    path = given.parent / "volumes" / "mlflow-login" / "credentials"
    monkeypatch.setattr(mlflow_credentials, "_get_credentials_path", lambda: str(path))
    found = mlflow_credentials.read_mlflow_creds()
    assert (found.username, found.password) == ("admin", "50 %(is) fine: isn't it; #really")
    assert read_login(path) == (found.username, found.password)


def test_an_empty_file_that_is_given_as_mlflow_s_password_is_refused(
    given: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PASSWORD_GIVEN", "./own-password")
    with pytest.raises(JobError, match="mlflow_password is empty"):
        preflight.preflight()


def test_a_damaged_login_is_one_line(given: Path) -> None:
    (given.parent / "volumes" / "mlflow-login" / "credentials").write_text("no ini")
    with pytest.raises(JobError, match="login cannot be read"):
        preflight.preflight()


def test_a_login_survives_its_file() -> None:
    assert "%%" in login_text("admin", "100%")
