from __future__ import annotations

import os
import signal

import pytest

from handful_quickstart.process import signals_ignored, signals_interrupt


def _send(number: signal.Signals) -> None:
    os.kill(os.getpid(), number)
    signal.pause()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_what_ends_interrupts(number: signal.Signals) -> None:
    with pytest.raises(KeyboardInterrupt), signals_interrupt():
        _send(number)


def test_a_background_job_can_be_interrupted_too() -> None:
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with pytest.raises(KeyboardInterrupt), signals_interrupt():
            _send(signal.SIGINT)
    finally:
        signal.signal(signal.SIGINT, before)


def test_what_nohup_ignores_stays_ignored() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with signals_interrupt():
            os.kill(os.getpid(), signal.SIGHUP)
            assert signal.getsignal(signal.SIGHUP) == signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)


def test_an_impatient_user_interrupts_once() -> None:
    cleaned: list[str] = []

    def be_interrupted() -> None:
        try:
            _send(signal.SIGINT)
        finally:
            os.kill(os.getpid(), signal.SIGINT)
            os.kill(os.getpid(), signal.SIGTERM)
            cleaned.append("all")

    with pytest.raises(KeyboardInterrupt), signals_interrupt():
        be_interrupted()
    assert cleaned == ["all"]
    assert signal.getsignal(signal.SIGINT) == signal.default_int_handler


def test_cleaning_up_is_not_interrupted() -> None:
    before = signal.getsignal(signal.SIGINT)
    with signals_ignored():
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGTERM)
    assert signal.getsignal(signal.SIGINT) == before
