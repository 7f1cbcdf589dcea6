"""The options of a script: one look for the help of all, and one line for what is wrong."""

from __future__ import annotations

import argparse
import os
from functools import partial
from pathlib import Path
from typing import NoReturn

ROOT = Path(__file__).resolve().parents[2]
_WIDTH = 110
_WRONG_WORDS = 2


class _Layout(argparse.RawDescriptionHelpFormatter):
    """An option's value is named once, after all its spellings: as Python 3.13 does, on every Python."""

    def _format_action_invocation(self, action: argparse.Action) -> str:
        value = f" {action.metavar}" if action.metavar else ""
        return ", ".join(action.option_strings) + value


class Words(argparse.ArgumentParser):
    """What may be said to a script.

    Args:
        script: its file name, such as up.sh.
    """

    def __init__(self, script: str) -> None:
        self.script = os.path.join("scripts", script)  # noqa: PTH118  # As one types it here, for nobody to open.
        layout = partial(_Layout, width=_WIDTH, max_help_position=26)
        super().__init__(
            self.script, usage=f"{self.script} [options]", formatter_class=layout, allow_abbrev=False, add_help=False
        )
        self.add_argument("-h", "--help", action="help", help="show this")

    def describe(self, text: str, afterwards: str = "") -> None:
        """Say what the script does, and what there is to know after its options."""
        self.description = text.strip()
        self.epilog = afterwards.strip() or None

    def error(self, message: str) -> NoReturn:
        """End with one line."""
        self.exit(_WRONG_WORDS, f"error: {message}: see {self.script} --help\n")
