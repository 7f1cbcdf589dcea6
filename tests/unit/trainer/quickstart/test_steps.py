from __future__ import annotations

import pytest

from handful_core.errors import DataError
from handful_trainer.quickstart.steps import Steps


def test_a_step_is_timed_and_told(capsys: pytest.CaptureFixture[str]) -> None:
    steps = Steps()
    with steps.step("dataset") as result:
        result("320 images")
    (step,) = steps.done
    assert (step.name, step.result) == ("dataset", "320 images")
    assert 0 <= step.seconds < 1
    assert "[1] dataset: 320 images (0.0 s)" in capsys.readouterr().err


@pytest.mark.parametrize("error", [DataError("no image"), OSError(28, "No space left on device")])
def test_a_failure_is_noted_and_goes_on_up(error: Exception) -> None:
    steps = Steps()
    with pytest.raises(type(error)), steps.step("dataset", "waiting"):
        raise error
    assert steps.failed == "dataset"
    assert steps.done[0].result == "failed"


def test_the_table_has_every_step(capsys: pytest.CaptureFixture[str]) -> None:
    steps = Steps()
    steps.add("dataset", 1.26, "320 images")
    steps.add("train", 90, "20 epochs")
    steps.show()
    table = capsys.readouterr().out
    assert [word in table for word in ("dataset", "1.3 s", "320 images", "train", "90.0 s", "20 epochs")] == [True] * 6
