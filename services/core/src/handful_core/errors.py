"""The errors that users meet, and the exit code of each kind.

    HandfulError                 1  something failed that has no kind of its own
    ├── ConfigError              2  a setting, option or configuration file is wrong
    ├── DataError                3  a dataset or an image is missing or unusable
    ├── PackageError             4  a model package is damaged, unknown or inconsistent
    ├── UnavailableError         5  a server that is needed does not answer
    ├── ResourceError            6  the machine lacks something: disk, memory, a free port, a right
    ├── NotFoundError            7  a model, version, alias or run does not exist
    └── RefusedError             8  a check said no: parity, the gate

An error says in one line what is wrong (`message`) and what to do about it (`hint`). The command line
turns it into that line and its exit code; serving maps it to an HTTP status in one place.
"""

from __future__ import annotations

from typing import ClassVar
from urllib.parse import urlsplit


class HandfulError(Exception):
    """Base of everything that Handful raises on purpose.

    Args:
        message: what is wrong, one sentence without the full stop.
        hint: what the user can do about it, one sentence without the full stop.
    """

    exit_code: ClassVar[int] = 1

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        """One line, whatever was put in."""
        line = f"{self.message}: {self.hint}" if self.hint else self.message
        return " ".join(line.split())


class ConfigError(HandfulError):
    """A setting, an option or a configuration file is wrong."""

    exit_code = 2


class DataError(HandfulError):
    """A dataset or an image is missing or unusable."""

    exit_code = 3


class PackageError(HandfulError):
    """A model package is damaged, of an unknown version, or contradicts itself.

    Its kinds are in `handful_core.package.errors`.
    """

    exit_code = 4
    kind: str = "package"
    """One word for a metric's label."""


class UnavailableError(HandfulError):
    """A server that is needed does not answer."""

    exit_code = 5


class ResourceError(HandfulError):
    """The machine lacks something: disk, memory, a free port, a right."""

    exit_code = 6


class NotFoundError(HandfulError):
    """A model, version, alias or run does not exist."""

    exit_code = 7


class RefusedError(HandfulError):
    """A check said no: parity, the gate."""

    exit_code = 8


def redact_credentials(address: str) -> str:
    """The address without `user:password@`: what may stand in a message, a log, a page or a file."""
    try:
        parts = urlsplit(address)
    except ValueError:  # It is none; whoever uses it says so.
        return address
    return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl() if "@" in parts.netloc else address
