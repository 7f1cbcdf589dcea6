"""The scripts, by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from commands import jobs, quickstart, stack, tests
from commands.words import Words

COMMANDS: Mapping[str, Callable[[Words, list[str]], int]] = {
    "up": stack.up,
    "down": stack.down,
    "serve": stack.serve,
    "train": jobs.train,
    "export": jobs.export,
    "import": jobs.import_,
    "quickstart": quickstart.quickstart,
    "test": tests.test,
}
