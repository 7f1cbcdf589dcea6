"""The login to MLflow, found where MLflow's own client looks for it.

User and password are in MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, else in the file ~/.mlflow/credentials.
A token is in MLFLOW_TRACKING_TOKEN. Without any, nothing is sent.
"""

from __future__ import annotations

import configparser
import os
from base64 import b64encode
from collections.abc import Generator
from pathlib import Path

import httpx

from handful_core.errors import ConfigError

_SECTION = "mlflow"
_USER, _PASSWORD, _TOKEN = "MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_PASSWORD", "MLFLOW_TRACKING_TOKEN"


class MlflowLogin(httpx.Auth):
    """Adds the login to each request. It is read each time: a new password holds without a restart."""

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        """Send the request, with the login if there is one."""
        if header := authorization():
            request.headers["Authorization"] = header
        yield request


def authorization() -> str | None:
    """The value of the header `Authorization`; None if there is no login.

    Raises:
        ConfigError: the file of the login cannot be read.
    """
    saved = _saved()
    user = os.environ.get(_USER) or saved.get(_USER.lower())
    password = os.environ.get(_PASSWORD) or saved.get(_PASSWORD.lower())
    if user and password:
        return f"Basic {b64encode(f'{user}:{password}'.encode()).decode()}"
    token = os.environ.get(_TOKEN)
    return f"Bearer {token}" if token else None


def _saved() -> dict[str, str]:
    """The fields of the file; none if it is not there."""
    path = Path("~/.mlflow/credentials").expanduser()
    parser = configparser.ConfigParser()
    try:
        parser.read_string(path.read_text(encoding="utf-8"))
        return dict(parser[_SECTION]) if parser.has_section(_SECTION) else {}
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except (OSError, UnicodeDecodeError, configparser.Error) as error:
        reason = getattr(error, "strerror", None) or "it is no INI file"
        raise ConfigError(f"MLflow's login in {path} cannot be read ({reason})", "correct or remove it") from None
