"""What runs, written down, so that another quickstart finds it: to use it, or to clear away what a crash left."""

from __future__ import annotations

from pathlib import Path
from typing import Self

import psutil
from pydantic import BaseModel, ConfigDict, ValidationError


class ProcessMark(BaseModel):
    """A process, told from a later one with the same id by its time of birth."""

    model_config = ConfigDict(frozen=True)

    pid: int
    created: float

    @classmethod
    def of(cls, process: psutil.Process) -> Self:
        """The mark of a living process."""
        return cls(pid=process.pid, created=process.create_time())

    def find(self) -> psutil.Process | None:
        """The process, if it lives."""
        try:
            process = psutil.Process(self.pid)
            same = abs(process.create_time() - self.created) < 1 and process.status() != psutil.STATUS_ZOMBIE
        except psutil.Error:
            return None
        return process if same else None


class StackRecord(BaseModel):
    """`run/stack.json` in the home folder."""

    model_config = ConfigDict(frozen=True)

    owner: ProcessMark
    """The quickstart that started the servers."""
    port: int
    mlflow_port: int
    processes: tuple[ProcessMark, ...] = ()
    """The servers and all that belongs to them."""

    @classmethod
    def path(cls, home: Path) -> Path:
        """Where it lies."""
        return home / "run" / "stack.json"

    @classmethod
    def read(cls, home: Path) -> Self | None:
        """The record, if there is one that can be read."""
        try:
            return cls.model_validate_json(cls.path(home).read_text(encoding="utf-8"))
        except (FileNotFoundError, ValidationError):
            return None

    def write(self, home: Path) -> None:
        """Write it, in one step."""
        path = self.path(home)
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_suffix(".part")
        part.write_text(self.model_dump_json(indent=2), encoding="utf-8")
        part.replace(path)

    def living(self) -> list[psutil.Process]:
        """The processes that still live."""
        return [process for process in (mark.find() for mark in self.processes) if process]
