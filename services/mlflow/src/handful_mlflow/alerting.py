"""Alertmanager's settings: those of configs/monitoring, with who is told of alerts as .env says.

Alertmanager itself reads no variables. It gets a file in a volume of its own: a webhook's address and a mail server's
password are secrets.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from handful_mlflow.errors import JobError

RECEIVER = "people"
_MAIL = ("ALERT_EMAIL_TO", "ALERT_EMAIL_FROM", "ALERT_SMTP_SERVER", "ALERT_SMTP_USER")
_WEBHOOK, _PASSWORD = "alert_webhook", "alert_smtp_password"  # Names of files.
_ADDRESS = re.compile(r"[^@\s,]+@[^@\s,]+")
_SERVER = re.compile(r"(\[[0-9a-fA-F:]+\]|[^:\s/]+):[0-9]{1,5}")


@dataclass(frozen=True, slots=True)
class Receivers:
    """Who is told: a webhook, mail, both or nobody."""

    webhook: str = field(default="", repr=False)
    mail: Mapping[str, str] = field(default_factory=dict, repr=False)

    @classmethod
    def read(cls, environment: Mapping[str, str], secrets: Path) -> Receivers:
        """From `ALERT_*` and the files `alert_webhook` and `alert_smtp_password`.

        Args:
            environment: the variables.
            secrets: the folder of the files; they are empty where nothing is given.

        Raises:
            JobError: an address is none, something is missing, or a file cannot be read. The line shows no secret.
        """
        webhook = _secret(secrets / _WEBHOOK, "ALERT_WEBHOOK_FILE", given=environment.get("ALERT_WEBHOOK_GIVEN", ""))
        if webhook and (urlsplit(webhook).scheme not in {"http", "https"} or not urlsplit(webhook).hostname):
            raise JobError("the file of ALERT_WEBHOOK_FILE holds no address: write https://… into it, and nothing else")
        given = environment.get("ALERT_SMTP_PASSWORD_GIVEN", "")
        password = _secret(secrets / _PASSWORD, "ALERT_SMTP_PASSWORD_FILE", given=given)
        return cls(webhook, _mail({name: environment.get(name, "").strip() for name in _MAIL}, password))

    def fill(self, settings: dict[str, Any]) -> dict[str, Any]:
        """Alertmanager's settings with these receivers.

        Raises:
            JobError: there is no receiver of that name.
        """
        own = next((one for one in settings.get("receivers", []) if one.get("name") == RECEIVER), None)
        if own is None:
            raise JobError(f"alertmanager.yml has no receiver {RECEIVER}: take the file of the checkout")
        if self.webhook:
            own.setdefault("webhook_configs", []).append({"url": self.webhook, "send_resolved": True})
        if self.mail:
            own.setdefault("email_configs", []).append({**self.mail, "send_resolved": True})
        return settings


def render(template: Path, receivers: Receivers) -> str:
    """The file that Alertmanager reads. JSON is YAML, too.

    Raises:
        JobError: the template cannot be read.
    """
    import yaml

    try:
        settings = yaml.safe_load(template.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise JobError(f"{template.name} cannot be read ({' '.join(str(error).split())}): correct it") from error
    if not isinstance(settings, dict):
        raise JobError(f"{template.name} has no settings: take the file of the checkout")
    return json.dumps(receivers.fill(settings), indent=2) + "\n"


def _mail(given: Mapping[str, str], password: str) -> dict[str, str]:
    """What Alertmanager calls it, of the variables and a password."""
    to, sender, server, user = (given[name] for name in _MAIL)
    if not to:
        if named := [name for name in _MAIL if given[name]]:
            raise JobError(f"{named[0]} is set, and nobody gets the mail: set ALERT_EMAIL_TO in .env")
        return {}
    if not server:
        raise JobError("ALERT_EMAIL_TO is set, and no server sends the mail: set ALERT_SMTP_SERVER in .env")
    if not _SERVER.fullmatch(server):
        raise JobError(f"ALERT_SMTP_SERVER is {server!r}: write it as mail.example.com:587, in .env")
    addresses = [address.strip() for address in to.split(",")]
    sender = sender or addresses[0]
    for name, address in (*(("ALERT_EMAIL_TO", address) for address in addresses), ("ALERT_EMAIL_FROM", sender)):
        if not _ADDRESS.fullmatch(address):
            raise JobError(f"{name} has {address!r}, which is not a mail address: correct it in .env")
    if bool(user) != bool(password):
        raise JobError("ALERT_SMTP_USER and ALERT_SMTP_PASSWORD_FILE go together: set both in .env, or neither")
    login = {"auth_username": user, "auth_password": password} if user else {}
    return {"to": ", ".join(addresses), "from": sender, "smarthost": server, **login}


def _secret(path: Path, variable: str, *, given: str) -> str:
    """A secret's only line; empty where none is given."""
    try:
        text = path.read_text(encoding="utf-8").strip()
    except FileNotFoundError:
        text = ""
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is no text"
        raise JobError(
            f"the file of {variable} cannot be read ({reason}): it must be readable for all (chmod 444)"
        ) from error
    if given and not text:
        raise JobError(f"the file of {variable} is empty: write the secret into it, or leave {variable} empty in .env")
    if len(text.splitlines()) > 1:
        raise JobError(f"the file of {variable} has more than one line: write the secret into one")
    return text
