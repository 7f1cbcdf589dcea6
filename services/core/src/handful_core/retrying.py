"""Which failures of a server pass by themselves, and how long to wait for that.

One rule for MLflow, Picsellia and object stores. What their clients raise differs: each caller says which of its own
exceptions carry a status, and which ones are a lost connection.
"""

from __future__ import annotations

from collections.abc import Callable

from tenacity import RetryCallState, Retrying, retry_if_exception, stop_after_attempt, wait_random_exponential
from tenacity.nap import sleep as _sleep

_TRANSIENT_CLIENT_ERRORS = frozenset({408, 425, 429})
"""Request Timeout, Too Early, Too Many Requests: the only 4xx that a later attempt may turn into a success."""


def is_transient_status(status: int) -> bool:
    """May the same request succeed a little later, after an answer with this HTTP status?"""
    return status >= 500 or status in _TRANSIENT_CLIENT_ERRORS


def retrying(
    is_transient: Callable[[BaseException], bool],
    *,
    attempts: int,
    first_pause: float,
    longest_pause: float,
    asked_pause: Callable[[BaseException], float] = lambda _: 0.0,
    sleep: Callable[[float], None] = _sleep,
) -> Retrying:
    """Call something again while it fails in a way that may pass, with exponential backoff and full jitter.

    Args:
        is_transient: whether a failure is worth another attempt. All others come through at once.
        attempts: how often it is called at most. The last failure comes through.
        first_pause: seconds, at most, before the second attempt; twice as many before each further one.
        longest_pause: seconds, at most, of each pause.
        asked_pause: seconds that the server asked for in a failure, such as in `Retry-After`.
        sleep: how to wait.

    Returns:
        What is called with a function and its arguments.
    """
    backoff = wait_random_exponential(multiplier=first_pause, max=longest_pause)

    def pause(state: RetryCallState) -> float:
        error = state.outcome.exception() if state.outcome else None
        return min(longest_pause, max(asked_pause(error) if error else 0.0, backoff(state)))

    return Retrying(
        retry=retry_if_exception(is_transient),
        stop=stop_after_attempt(attempts),
        wait=pause,
        sleep=sleep,
        reraise=True,
    )
