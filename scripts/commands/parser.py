"""The options of a script: one layout for all help texts, and one line for a wrong option."""

from __future__ import annotations

import argparse
import os
from functools import partial
from pathlib import Path
from typing import NoReturn

ROOT = Path(__file__).resolve().parents[2]
_WIDTH = 110
_USAGE_ERROR = 2


class _HelpFormatter(argparse.RawDescriptionHelpFormatter):
    """An option's value is named once, after all its spellings: as Python 3.13 does, on every Python."""

    def _format_action_invocation(self, action: argparse.Action) -> str:
        value = f" {action.metavar}" if action.metavar else ""
        return ", ".join(action.option_strings) + value


class ScriptParser(argparse.ArgumentParser):
    """Parses the arguments of a script.

    Args:
        script: its file name, such as up.sh.
    """

    def __init__(self, script: str) -> None:
        # Joined by hand: it is printed, never opened, and Windows' users shall see a backslash.
        self.script = os.path.join("scripts", script)  # noqa: PTH118
        formatter = partial(_HelpFormatter, width=_WIDTH, max_help_position=26)
        super().__init__(
            self.script, usage=f"{self.script} [options]", formatter_class=formatter, allow_abbrev=False, add_help=False
        )
        # argparse's own help option is worded differently from ours, and differently in each Python.
        self.add_argument("-h", "--help", action="help", help="show this")

    def describe(self, text: str, epilog: str = "") -> None:
        """Set what the help prints before and after the options."""
        self.description = text.strip()
        self.epilog = epilog.strip() or None

    def error(self, message: str) -> NoReturn:
        """End with one line on stderr and exit code 2."""
        self.exit(_USAGE_ERROR, f"error: {message}: see {self.script} --help\n")
