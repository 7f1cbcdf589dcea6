"""Retrying calls to Picsellia and its object store: which failures are transient, and how long to wait."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TypeVar

from picsellia.exceptions import BadGatewayError, InternalServerError, NetworkError, PicselliaError, TooManyRequestError
from requests import RequestException
from requests.exceptions import (
    ChunkedEncodingError,
    ConnectionError,  # noqa: A004 - requests' own
    InvalidJSONError,
    InvalidSchema,
    InvalidURL,
    MissingSchema,
)
from tenacity import sleep_using_event

from handful_core.retrying import retrying

_Result = TypeVar("_Result")
_TRANSIENT = (TooManyRequestError, InternalServerError, BadGatewayError, NetworkError)
_PERMANENT = (InvalidSchema, InvalidURL, MissingSchema, InvalidJSONError)
REPEATED_BY_SDK = (ConnectionError, ChunkedEncodingError)
"""Errors after which the SDK has already tried its own calls five times."""
_MAX_ATTEMPTS = 6
_MAX_PAUSE = 30.0
"""Seconds between two attempts, at most. All waits together: about a minute."""


class RetryLaterError(Exception):
    """The object store answers 429 or 5xx: try again later.

    Args:
        status: of the answer.
        after: seconds to wait, from `Retry-After`.
    """

    def __init__(self, status: int, after: float = 0) -> None:
        super().__init__(f"it answers {status}")
        self.after = after


class IncompleteDownloadError(Exception):
    """The body is shorter or longer than `Content-Length`."""


def is_transient(error: BaseException) -> bool:
    """May the same request succeed a little later?"""
    if isinstance(error, (*_TRANSIENT, RetryLaterError, IncompleteDownloadError)):
        return True
    if type(error) is PicselliaError:  # The SDK has no class of its own for 503 and 504, and keeps no status.
        return str(error).startswith("[5")
    return isinstance(error, RequestException) and not isinstance(error, _PERMANENT)


def with_retries(
    work: Callable[[], _Result],
    but_not: tuple[type[Exception], ...] = (),
    stop: threading.Event | None = None,
) -> _Result:
    """Call `work` until it succeeds, with exponential backoff after transient failures. The last failure is raised.

    Args:
        work: what is tried.
        but_not: failures that are not worth another attempt here.
        stop: ends the pauses when it is set; `work` should then fail for good.
    """
    tries = retrying(
        lambda error: is_transient(error) and not isinstance(error, but_not),
        attempts=_MAX_ATTEMPTS,
        first_pause=1,
        longest_pause=_MAX_PAUSE,
        asked_pause=lambda error: error.after if isinstance(error, RetryLaterError) else 0,
        sleep=sleep_using_event(stop or threading.Event()),
    )
    return tries(work)
