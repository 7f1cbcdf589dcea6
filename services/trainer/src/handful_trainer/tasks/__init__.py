"""One folder for each kind of model that can be trained, and the register of them.

Another distribution adds a task by an entry point of the group `handful.tasks` that names an object like `Task`.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from functools import cache
from importlib.metadata import entry_points
from typing import TYPE_CHECKING, cast

from handful_core.errors import ConfigError

if TYPE_CHECKING:
    from handful_trainer.tasks.base import Task
    from handful_trainer.tasks.engine import Engine

GROUP = "handful.tasks"
DEFAULT = "detect"
"""The task of configurations and datasets that name none: there was no other once."""
_OWN = {
    "detect": "handful_trainer.tasks.detection.task",
    "classify": "handful_trainer.tasks.classification.task",
}
"""Modules that hold a `TASK`. They are imported when they are asked for, and what is heavy in them even later."""


def task_names() -> list[str]:
    """All tasks that are installed, the trainer's own first."""
    return [*_OWN, *sorted(entry.name for entry in entry_points(group=GROUP) if entry.name not in _OWN)]


@cache
def get_task(name: str) -> Task:
    """A task by its name.

    Raises:
        ConfigError: no such task is installed.
    """
    if name in _OWN:  # Looking through all installed distributions takes as long as a small dataset's second look.
        return cast("Task", importlib.import_module(_OWN[name]).TASK)
    for entry in entry_points(group=GROUP, name=name):
        return cast("Task", entry.load())
    raise ConfigError(f"there is no task {name!r}", f"the tasks are {', '.join(task_names())}")


def engine_of(name: str) -> Engine:
    """What trains a task's models.

    Raises:
        ConfigError: there is no such task, or nothing that trains it.
    """
    engine = get_task(name).engine
    if engine is None:
        raise ConfigError(
            f"models of the task {name} cannot be trained here", "register a package that was made elsewhere"
        )
    return engine


def all_tasks() -> Iterator[Task]:
    """Every task, the trainer's own first; others are looked for when these are through."""
    yield from map(get_task, _OWN)
    yield from (get_task(name) for name in task_names() if name not in _OWN)
