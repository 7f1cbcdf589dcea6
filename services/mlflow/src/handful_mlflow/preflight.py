"""What is looked at before anything is started."""

from __future__ import annotations

from compose.errors import ComposeError
from compose.passwords import check
from handful_mlflow.errors import JobError
from handful_mlflow.settings import SECRETS


def preflight() -> None:
    """Refuse placeholders among the secrets.

    Raises:
        JobError: a secret is missing, is a placeholder, or is too short.
    """
    try:
        check(SECRETS)
    except ComposeError as error:
        raise JobError(str(error)) from error
