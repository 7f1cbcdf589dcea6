"""The errors that only serving has."""

from __future__ import annotations

from handful_core.errors import (
    ConfigError,
    DataError,
    HandfulError,
    NotFoundError,
    PackageError,
    RefusedError,
    UnavailableError,
)


class BadRequestError(ConfigError):
    """A parameter of a request is wrong."""


class EmptyBodyError(DataError):
    """A request carries no image."""


class BodyTooLargeError(DataError):
    """A request's body is larger than the limit."""


class UnsupportedEncodingError(DataError):
    """A request's body is packed in a way that is not unpacked here."""


class SlowBodyError(DataError):
    """A client took too long to send its body."""


class UnauthorizedError(RefusedError):
    """A request needs an API key, and has none or a wrong one."""


class ForbiddenError(RefusedError):
    """A request may not do what it asks for."""


class RateError(HandfulError):
    """A caller has sent more images than its rate allows.

    Args:
        message: what is too much.
        retry_after: seconds after which another try will succeed.
    """

    def __init__(self, message: str, retry_after: int) -> None:
        super().__init__(message, f"try again in {retry_after} s")
        self.retry_after = retry_after


class UnknownModelError(NotFoundError):
    """There is no such model, version or alias."""


class NoModelError(UnavailableError):
    """No model can answer yet."""


class OverloadedError(UnavailableError):
    """There is more work than can be done in time.

    Args:
        message: what is too much.
        reason: one word for metrics.
        retry_after: seconds after which another try may succeed.
    """

    def __init__(self, message: str, reason: str, retry_after: int) -> None:
        super().__init__(message, f"try again in {retry_after} s, or ask less often")
        self.reason = reason
        self.retry_after = retry_after


class ProbeError(PackageError):
    """A package failed its first run, in a process of its own: see `handful_serving.adapters.probe`.

    Args:
        message: what is wrong.
        hint: what to do.
        kind: one word for metrics: `time`, `memory`, `crash`, `graph` or `golden`.
    """

    def __init__(self, message: str, hint: str, kind: str) -> None:
        super().__init__(message, hint)
        self.kind = kind


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
