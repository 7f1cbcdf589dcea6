from __future__ import annotations

import pytest

from handful_core.retrying import is_transient_status, retrying


@pytest.mark.parametrize("status", [408, 425, 429, 500, 502, 503, 504, 599])
def test_a_busy_server_passes(status: int) -> None:
    assert is_transient_status(status)


@pytest.mark.parametrize("status", [200, 302, 400, 401, 403, 404, 409, 413, 422, 499])
def test_a_refused_request_does_not(status: int) -> None:
    assert not is_transient_status(status)


class RetryLaterError(Exception):
    """A server that is busy."""


class Server:
    """Fails this often before it answers."""

    def __init__(self, failures: int, error: type[Exception] = RetryLaterError) -> None:
        self.failures, self.error, self.calls = failures, error, 0

    def ask(self) -> str:
        self.calls += 1
        if self.calls <= self.failures:
            raise self.error
        return "answer"


def is_busy(error: BaseException) -> bool:
    return isinstance(error, RetryLaterError)


def test_what_passes_is_tried_again_with_pauses_that_are_bounded() -> None:
    pauses: list[float] = []
    server = Server(4)
    tries = retrying(is_busy, attempts=5, first_pause=1, longest_pause=2, sleep=pauses.append)
    assert tries(server.ask) == "answer"
    assert len(pauses) == 4
    assert all(0 <= pause <= 2 for pause in pauses)
    assert pauses[0] <= 1


def test_the_last_failure_comes_through() -> None:
    server = Server(9)
    tries = retrying(is_busy, attempts=3, first_pause=1, longest_pause=1, sleep=lambda _: None)
    with pytest.raises(RetryLaterError):
        tries(server.ask)
    assert server.calls == 3


def test_what_does_not_pass_is_tried_once() -> None:
    server = Server(9, ZeroDivisionError)
    with pytest.raises(ZeroDivisionError):
        retrying(is_busy, attempts=3, first_pause=1, longest_pause=1)(server.ask)
    assert server.calls == 1


@pytest.mark.parametrize(("asked", "waited"), [(7.0, 7.0), (100.0, 10.0)])
def test_the_pause_that_a_server_asks_for_is_kept_within_bounds(asked: float, waited: float) -> None:
    pauses: list[float] = []
    tries = retrying(
        is_busy, attempts=2, first_pause=1, longest_pause=10, asked_pause=lambda _: asked, sleep=pauses.append
    )
    assert tries(Server(1).ask) == "answer"
    assert pauses == [waited]
