"""Who is told of alerts: nobody until it is set, and one line that says what is wrong with it."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from handful_mlflow.alerting import Receivers, render
from handful_mlflow.errors import JobError

_HOOK = "https://hooks.example.com/services/T0/B0/secretpart"
_MAIL = {"ALERT_EMAIL_TO": "ops@example.com", "ALERT_SMTP_SERVER": "mail.example.com:587"}


@pytest.fixture
def template(repository: Path) -> Path:
    return repository / "configs" / "monitoring" / "alertmanager" / "alertmanager.yml"


@pytest.fixture
def files(tmp_path: Path) -> Path:
    (tmp_path / "alert_webhook").touch()
    (tmp_path / "alert_smtp_password").touch()
    return tmp_path


def _people(template: Path, receivers: Receivers) -> dict[str, object]:
    (people,) = json.loads(render(template, receivers))["receivers"]
    return dict(people)


def test_nobody_is_told_unless_it_is_set(template: Path, files: Path) -> None:
    assert _people(template, Receivers.read({}, files)) == {"name": "people"}
    assert _people(template, Receivers.read({}, files / "nowhere")) == {"name": "people"}


def test_a_webhook(template: Path, files: Path) -> None:
    (files / "alert_webhook").write_text(f"{_HOOK}\n")
    receivers = Receivers.read({"ALERT_WEBHOOK_GIVEN": "./hook"}, files)
    people = _people(template, receivers)
    assert people == {"name": "people", "webhook_configs": [{"url": _HOOK, "send_resolved": True}]}
    assert "secretpart" not in repr(receivers)


def test_mail(template: Path, files: Path) -> None:
    (files / "alert_smtp_password").write_text("open sesame\n")
    settings = _MAIL | {"ALERT_EMAIL_TO": "a@example.com, b@example.com", "ALERT_SMTP_USER": "me"}
    settings["ALERT_SMTP_PASSWORD_GIVEN"] = "./password"
    assert _people(template, Receivers.read(settings, files))["email_configs"] == [
        {
            "to": "a@example.com, b@example.com",
            "from": "a@example.com",
            "smarthost": "mail.example.com:587",
            "auth_username": "me",
            "auth_password": "open sesame",
            "send_resolved": True,
        }
    ]


@pytest.mark.parametrize(
    ("settings", "line"),
    [
        ({"ALERT_EMAIL_TO": "ops@example.com"}, "set ALERT_SMTP_SERVER"),
        ({"ALERT_SMTP_SERVER": "mail:25"}, "set ALERT_EMAIL_TO"),
        (_MAIL | {"ALERT_SMTP_SERVER": "mail.example.com"}, "write it as mail.example.com:587"),
        (_MAIL | {"ALERT_SMTP_SERVER": "smtp://mail:25"}, "write it as mail.example.com:587"),
        (_MAIL | {"ALERT_EMAIL_TO": "ops"}, "'ops', which is not a mail address"),
        (_MAIL | {"ALERT_EMAIL_TO": "ops@example.com,"}, "'', which is not a mail address"),
        (_MAIL | {"ALERT_EMAIL_FROM": "me you@example.com"}, "ALERT_EMAIL_FROM has"),
        (_MAIL | {"ALERT_SMTP_USER": "me"}, "go together"),
        ({"ALERT_WEBHOOK_GIVEN": "./hook"}, "the file of ALERT_WEBHOOK_FILE is empty"),
        (_MAIL | {"ALERT_SMTP_PASSWORD_GIVEN": "./password"}, "the file of ALERT_SMTP_PASSWORD_FILE is empty"),
    ],
)
def test_what_is_wrong_is_said(files: Path, settings: dict[str, str], line: str) -> None:
    with pytest.raises(JobError, match=line):
        Receivers.read(settings, files)


@pytest.mark.parametrize("text", [b"hooks.example.com/secretpart", b"https://", b"a\nb", b"\xff\xfe", b"file:///etc/x"])
def test_a_webhook_that_is_none_is_not_repeated(files: Path, text: bytes) -> None:
    (files / "alert_webhook").write_bytes(text)
    with pytest.raises(JobError, match="the file of ALERT_WEBHOOK_FILE") as refused:
        Receivers.read({}, files)
    assert "secretpart" not in str(refused.value)


@pytest.mark.parametrize("text", ["", "receivers: [", "receivers: [{name: others}]", "- a"])
def test_a_template_that_is_none(tmp_path: Path, text: str) -> None:
    (tmp_path / "alertmanager.yml").write_text(text)
    with pytest.raises(JobError, match=r"alertmanager\.yml"):
        render(tmp_path / "alertmanager.yml", Receivers())


@pytest.mark.skipif(
    shutil.which("amtool") is None, reason="amtool comes with Alertmanager, which scripts/test installs"
)
def test_alertmanager_takes_what_is_written(template: Path, files: Path, tmp_path: Path) -> None:
    (files / "alert_webhook").write_text(_HOOK)
    (files / "alert_smtp_password").write_text("open sesame")
    receivers = Receivers.read(_MAIL | {"ALERT_SMTP_USER": "me"}, files)
    (tmp_path / "rendered.yml").write_text(render(template, receivers))
    said = subprocess.run(
        ["amtool", "check-config", tmp_path / "rendered.yml"], capture_output=True, text=True, check=True
    )
    assert "1 receivers" in said.stdout
