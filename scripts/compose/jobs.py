"""What runs in a container once and ends: a training, an export, an import."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from compose.engine import Engine
from compose.up import prepare


@dataclass(frozen=True, slots=True)
class Job:
    """A `handful` command in a container.

    Attributes:
        service: the container's.
        command: what `handful` is told first.
        built_by: the service that builds its image.
        alone: it needs nothing beside it.
    """

    service: str
    command: str
    built_by: str
    alone: bool = False


def run(engine: Engine, root: Path, job: Job, words: Sequence[str]) -> int:
    """Run the job with these words, and what it needs beside it.

    Returns:
        The command's own exit code.

    Raises:
        ComposeError: something is missing or wrong; then nothing was changed.
    """
    prepare(engine, root)
    engine.build(job.built_by)
    options = ["--no-deps"] if job.alone else []
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        options.append("--no-TTY")
    return engine.compose("run", "--rm", *options, job.service, job.command, *words)
