"""The processes of a training that torchrun started: on one machine, or on several."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

from handful_core.errors import ConfigError

_MARK = "TORCHELASTIC_RUN_ID"
"""A variable that torchrun gives to all its processes."""


@dataclass(frozen=True, slots=True)
class ProcessGroup:
    """Which of torchrun's processes this one is."""

    rank: int
    """Among all; the first one leads."""
    size: int
    """Of all machines."""
    local_rank: int
    """Among those of this machine."""
    local_size: int

    @property
    def machines(self) -> int:
        """How many there are; each has as many processes."""
        return self.size // self.local_size

    @classmethod
    def of(cls, environment: Mapping[str, str] = os.environ) -> Self | None:
        """As torchrun says it; None for a process that it did not start, or started alone."""
        if _MARK not in environment or environment["WORLD_SIZE"] == "1":
            return None
        names = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE")
        return cls(*(int(environment[name]) for name in names))


def refuse_torchrun(command: str) -> None:
    """Refuse what several processes would each do for themselves.

    Raises:
        ConfigError: torchrun started this process, and others.
    """
    if ProcessGroup.of() is not None:
        raise ConfigError(f"{command} is for one process, and torchrun started several", "start it without torchrun")
