from __future__ import annotations

import pytest


def test_what_no_stage_explains_is_waiting_and_transfer(run) -> None:
    timings = {"decode": 2, "preprocess": 3, "inference": 90, "postprocess": 1, "total": 100}
    found = run("timings", "stages", timings, 125)
    assert [(part["stage"], part["ms"]) for part in found] == [
        ("decode", 2),
        ("preprocess", 3),
        ("inference", 90),
        ("postprocess", 1),
        ("waiting", 4),
        ("transfer", 25),
    ]
    assert sum(part["share"] for part in found) == pytest.approx(1)


def test_clocks_that_disagree_give_no_negative_time(run) -> None:
    found = run("timings", "stages", {"decode": 2, "inference": 10, "total": 11}, 5)
    assert [part["ms"] for part in found] == [2, 10, 0, 0]
