from __future__ import annotations

import pytest

from handful_core.console import Step
from handful_core.errors import DataError


def test_a_step_is_timed_and_says_what_came_of_it() -> None:
    with Step("dataset") as step:
        step.result = "320 images"
    assert (step.name, step.result, step.failed) == ("dataset", "320 images", False)
    assert 0 <= step.seconds < 1


def test_a_step_without_words_is_done() -> None:
    with Step("dataset") as step:
        pass
    assert step.result == "done"


@pytest.mark.parametrize(
    ("error", "result"),
    [(DataError("no image", "bring some"), "failed: no image"), (OSError(28, "No space left on device"), "failed")],
)
def test_a_failed_step_says_so_and_raises(error: Exception, result: str) -> None:
    with pytest.raises(type(error)), Step("dataset") as step:
        raise error
    assert (step.result, step.failed) == (result, True)


def test_an_interrupted_step_has_not_failed() -> None:
    with pytest.raises(KeyboardInterrupt), Step("train") as step:
        raise KeyboardInterrupt
    assert not step.failed
