"""Ctrl-C and the errors that come of it."""

from __future__ import annotations

import pytest

from handful_core.interruption import Interruption


def _fail(interruption: Interruption, error: BaseException, *, interrupted: bool) -> None:
    with interruption.passed_on():
        interruption.came = interruption.came or interrupted
        raise error


def test_an_error_after_an_interruption_is_one() -> None:
    with pytest.raises(KeyboardInterrupt, match="the panic"):
        _fail(Interruption(), RuntimeError("the panic"), interrupted=True)


def test_an_interruption_of_an_earlier_block_makes_none_of_a_later_error() -> None:
    interruption = Interruption()
    with pytest.raises(KeyboardInterrupt):
        _fail(interruption, KeyboardInterrupt(), interrupted=True)
    with pytest.raises(RuntimeError, match="a fault"):
        _fail(interruption, RuntimeError("a fault"), interrupted=False)
