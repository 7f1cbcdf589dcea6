"""What the scripts beside this file call: `python -B scripts/run.py up.sh ARGUMENTS`. Plain Python 3.11 or newer.

The first argument is the script's own file name: its stem is the command, and the whole name stands in the help.
Thereby up.sh, up.ps1 and up.bat have the same options, help and exit codes.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from pathlib import Path

from commands import demo, deploy, jobs, menu, monitor, pipeline, quickstart, stack, tests
from commands.parser import ScriptParser

COMMANDS: Mapping[str, Callable[[ScriptParser, list[str]], int]] = {
    "up": stack.up,
    "down": stack.down,
    "serve": stack.serve,
    "train": jobs.train,
    "export": jobs.export,
    "import": jobs.import_,
    "pipeline": pipeline.pipeline,
    "deploy": deploy.deploy,
    "monitor": monitor.monitor,
    "quickstart": quickstart.quickstart,
    "test": tests.test,
    "menu": menu.menu,
    "demo": demo.demo,
}


def main(script: str, argv: list[str]) -> int:
    """Run the script's command.

    Returns:
        Its exit code.
    """
    return COMMANDS[Path(script).stem](ScriptParser(script), argv)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2:]))
