"""The errors that only serving has."""

from __future__ import annotations

from handful_core.errors import ConfigError, DataError, NotFoundError, PackageError, UnavailableError


class BadRequestError(ConfigError):
    """A parameter of a request is wrong."""


class EmptyBodyError(DataError):
    """A request carries no image."""


class BodyTooLargeError(DataError):
    """A request's body is larger than the limit."""


class UnknownModelError(NotFoundError):
    """There is no such model, version or alias."""


class NoModelError(UnavailableError):
    """No model can answer yet."""


class RefusedModelError(PackageError):
    """The version that was asked for was refused when it was loaded.

    Args:
        message: what is wrong.
        hint: what to do.
        kind: the kind of the error that it was refused for.
    """

    def __init__(self, message: str, hint: str, kind: str) -> None:
        super().__init__(message, hint)
        self.reason_kind = kind
