"""When Picsellia or its object store stumbles: which failures pass, and how long to wait for that."""

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
_PASSING = (TooManyRequestError, InternalServerError, BadGatewayError, NetworkError)
_NEVER_PASSING = (InvalidSchema, InvalidURL, MissingSchema, InvalidJSONError)
REPEATED_BY_SDK = (ConnectionError, ChunkedEncodingError)
"""What the SDK's own calls have tried five times already before it comes through."""
_ATTEMPTS = 6
_LONGEST = 30.0
"""Seconds between two attempts, at most. All waits together: about a minute."""


class BusyError(Exception):
    """The object store asks to come again later: 429 or 5xx.

    Args:
        status: of the answer.
        after: seconds that it asked to wait.
    """

    def __init__(self, status: int, after: float = 0) -> None:
        super().__init__(f"it answers {status}")
        self.after = after


class CutOffError(Exception):
    """Fewer or more bytes came than were announced."""


def is_transient(error: BaseException) -> bool:
    """May the same request succeed a little later?"""
    if isinstance(error, (*_PASSING, BusyError, CutOffError)):
        return True
    if type(error) is PicselliaError:  # The SDK has no class of its own for 503 and 504, and keeps no status.
        return str(error).startswith("[5")
    return isinstance(error, RequestException) and not isinstance(error, _NEVER_PASSING)


def with_retries(
    work: Callable[[], _Result],
    but_not: tuple[type[Exception], ...] = (),
    stop: threading.Event | None = None,
) -> _Result:
    """Call `work` again while it fails in a way that may pass, with growing pauses; the last failure comes through.

    Args:
        work: what is tried.
        but_not: failures that are not worth another attempt here.
        stop: ends the pauses when it is set; `work` should then fail for good.
    """
    tries = retrying(
        lambda error: is_transient(error) and not isinstance(error, but_not),
        attempts=_ATTEMPTS,
        first_pause=1,
        longest_pause=_LONGEST,
        asked_pause=lambda error: error.after if isinstance(error, BusyError) else 0,
        sleep=sleep_using_event(stop or threading.Event()),
    )
    return tries(work)
