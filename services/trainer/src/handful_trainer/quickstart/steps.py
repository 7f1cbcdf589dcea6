"""The steps of a quickstart: what each took and what came of it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from handful_core.console import err, print_table, say
from handful_core.errors import HandfulError


@dataclass(frozen=True, slots=True)
class Step:
    """One that is over."""

    name: str
    seconds: float
    result: str


class Steps:
    """Tells of each step as it ends, and of all in a table."""

    def __init__(self) -> None:
        self.done: list[Step] = []
        self.failed = ""
        """The step that failed, if one did."""

    @contextmanager
    def step(self, name: str, waiting: str = "") -> Iterator[Callable[[str], None]]:
        """Time a step.

        Args:
            name: what the table calls it.
            waiting: what is shown while it lasts; empty for a step that shows its own progress.

        Yields:
            Takes the result's words.
        """
        began = time.perf_counter()
        words = ["done"]
        try:
            if waiting:
                with err.status(f"{waiting} …"):
                    yield lambda text: words.__setitem__(0, text)
            else:
                yield lambda text: words.__setitem__(0, text)
        except (HandfulError, OSError):
            self.failed = name
            self.add(name, time.perf_counter() - began, "failed")
            raise
        self.add(name, time.perf_counter() - began, words[0])

    def add(self, name: str, seconds: float, result: str) -> None:
        """Note a step that was timed elsewhere."""
        self.done.append(Step(name, seconds, result))
        say(f"[{len(self.done)}] {name}: {result} ({seconds:.1f} s)")

    def show(self) -> None:
        """The table."""
        rows = [(step.name, f"{step.seconds:.1f} s", step.result) for step in self.done]
        print_table("Quickstart", ("step", "time", "result"), rows)
