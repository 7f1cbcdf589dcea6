"""The rounds of `handful monitor watch`: soon again after a failure, at leisure otherwise."""

from __future__ import annotations

from handful_core.errors import HandfulError, UnavailableError
from handful_monitor.watch import Watch, watch


def test_a_failed_round_is_repeated_soon_and_then_ever_later() -> None:
    fails = [True, True, True, False, False, True, *[True] * 9, False]
    rounds = iter(fails)
    pauses: list[float] = []
    heard: list[bool] = []

    def watches() -> list[Watch]:
        if next(rounds):
            raise UnavailableError("MLflow does not answer", "start it")
        return []

    def ended(failure: HandfulError | None, _: list[Watch]) -> None:
        heard.append(failure is not None)

    def wait(seconds: float) -> bool:
        pauses.append(seconds)
        return len(pauses) == len(fails)

    watch(watches, lambda _: None, 60, ended, wait)
    assert heard == fails
    assert pauses == [1, 2, 4, 60, 60, 1, 2, 4, 8, 16, 32, 60, 60, 60, 60, 60]


def test_a_failed_round_waits_no_longer_than_a_good_one() -> None:
    pauses: list[float] = []

    def watches() -> list[Watch]:
        raise UnavailableError("MLflow does not answer", "start it")

    watch(watches, lambda _: None, 0.5, wait=lambda seconds: pauses.append(seconds) or len(pauses) == 3)
    assert pauses == [0.5, 0.5, 0.5]
