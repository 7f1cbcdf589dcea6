"""A worker of a batch that is killed."""

from __future__ import annotations

import os
import signal
from dataclasses import dataclass

from handful_core.batch.worker import Done, Part, Worker


@dataclass(slots=True)
class Killed(Worker):
    """Its process is killed at the third part, as by a system that is short of memory."""

    def answer(self, part: Part) -> Done:
        """Answer the first two parts."""
        if part.number == 2:
            os.kill(os.getpid(), signal.SIGKILL)
        return Worker.answer(self, part)
