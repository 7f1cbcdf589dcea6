from __future__ import annotations

import pytest


@pytest.mark.parametrize(
    ("share", "text"),
    [
        (0, "0%"),
        (0.001, "<1%"),
        (0.005, "1%"),
        (0.25, "25%"),
        (0.934, "93%"),
        (0.9951, "99%"),
        (0.9999, "99%"),
        (1, "100%"),
    ],
)
def test_percent(run, share, text) -> None:
    assert run("format", "percent", share) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0.0 ms"),
        (0.84, "0.8 ms"),
        (9.94, "9.9 ms"),
        (9.96, "10 ms"),
        (102.7, "103 ms"),
        (999.4, "999 ms"),
        (999.6, "1.00 s"),
    ],
)
def test_milliseconds(run, value, text) -> None:
    assert run("format", "milliseconds", value) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [(0, "0 B"), (999, "999 B"), (31_234, "31 kB"), (999_499, "999 kB"), (999_500, "1.0 MB"), (12_345_678, "12.3 MB")],
)
def test_bytes(run, value, text) -> None:
    assert run("format", "bytes", value) == text


@pytest.mark.parametrize(("value", "text"), [("2026-11-21T12:00:00Z", "21 Nov 2026"), (None, ""), ("soon", "")])
def test_day(run, value, text) -> None:
    assert run("format", "day", value) == text


def test_metrics_have_as_many_digits_as_each_other(run) -> None:
    assert [run("format", "metric", value) for value in (0.9, 0.91456, 1)] == ["0.900", "0.915", "1.000"]


def test_a_figure_of_a_curve_is_not_nothing_because_it_is_small(run) -> None:
    assert [run("format", "figure", value) for value in (0.9, 0.0000123, 0)] == ["0.900", "1.2e-5", "0.000"]
