"""What the scripts beside this file call: `python -B scripts/run.py up.sh WORDS`. Plain Python 3.11 or newer.

The first word is the script's own file name: its stem says what is to be done, and the whole stands in its help.
Thereby up.sh, up.ps1 and up.bat have the same options, help and exit codes.
"""

from __future__ import annotations

import sys
from pathlib import Path

from commands.catalogue import COMMANDS
from commands.words import Words


def main(script: str, words: list[str]) -> int:
    """Do what the script is for.

    Returns:
        Its exit code.
    """
    return COMMANDS[Path(script).stem](Words(script), words)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2:]))
