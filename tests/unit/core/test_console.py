from __future__ import annotations

import io

import pytest
from rich.console import Console

from handful_core import console
from handful_core.console import Step, print_table, progress
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


def test_without_a_terminal_a_long_step_says_how_far_it_is(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    now = [100.0]
    monkeypatch.setattr(console.time, "monotonic", lambda: now[0])
    with progress() as bar:
        bar.get_time = lambda: now[0]
        task = bar.add_task("reading [images]", total=100)
        for _ in range(100):
            now[0] += 1
            bar.advance(task)
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 3
    assert lines[0].startswith("reading [images]: 31 of 100, 0:00:31 elapsed, ")
    assert lines[0].endswith(" left")


def test_a_short_step_says_nothing_without_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    with progress() as bar:
        assert list(bar.track([1, 2, 3], description="reading")) == [1, 2, 3]
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("terminal", [True, False])
def test_a_table_cuts_nothing(monkeypatch: pytest.MonkeyPatch, terminal: bool) -> None:
    run_id = "0123456789abcdef" * 2
    shown = Console(file=io.StringIO(), width=60, force_terminal=terminal, color_system=None, soft_wrap=True)
    monkeypatch.setattr(console, "out", shown)
    print_table("Runs", ("run", "metrics"), [(run_id, f"mAP50 0.970, {run_id}"), ("b", "x " * 40)])
    printed = shown.file.getvalue()  # type: ignore[attr-defined]
    assert "\N{HORIZONTAL ELLIPSIS}" not in printed
    if terminal:
        assert max(map(len, printed.splitlines())) <= 60
    else:
        assert printed.count(run_id) == 2, "each on one line, to be copied or searched"
