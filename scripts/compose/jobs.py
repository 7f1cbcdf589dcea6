"""What runs in a container once and ends: a training, an export, an import."""

from __future__ import annotations

import sys
from pathlib import Path

from compose.engine import Engine
from compose.up import prepare

COMMANDS = {
    "train": "train a model in a container: as `handful train`",
    "export": "export runs and models: as `handful export`",
    "import": "import runs and models: as `handful import`",
}
_SERVICE = {"train": "trainer", "export": "backup", "import": "backup"}
_BUILT_BY = {"trainer": "trainer", "backup": "starter"}


def run(engine: Engine, root: Path, command: str, words: list[str]) -> int:
    """Run `handful COMMAND WORDS` in its container, with what it needs beside it.

    Returns:
        The command's own exit code.

    Raises:
        ComposeError: something is missing or wrong; then nothing was changed.
    """
    prepare(engine, root)
    service = _SERVICE[command]
    engine.build(_BUILT_BY[service])
    terminal = [] if sys.stdin.isatty() and sys.stdout.isatty() else ["--no-TTY"]
    return engine.compose("run", "--rm", *terminal, service, command, *words)
