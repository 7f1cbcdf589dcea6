"""Ctrl-C and the errors that come of it."""

from __future__ import annotations

import pytest

from handful_core.interruption import Interruption


def test_an_error_after_an_interruption_is_one() -> None:
    interruption = Interruption()
    with pytest.raises(KeyboardInterrupt, match="the panic"), interruption.passed_on():
        interruption.came = True
        raise RuntimeError("the panic")


def test_an_interruption_of_an_earlier_block_makes_none_of_a_later_error() -> None:
    interruption = Interruption()
    with pytest.raises(KeyboardInterrupt), interruption.passed_on():
        interruption.came = True
        raise KeyboardInterrupt
    with pytest.raises(RuntimeError, match="a fault"), interruption.passed_on():
        raise RuntimeError("a fault")
