"""menu: the other scripts by a word, or chosen from a list."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from commands.parser import ROOT, ScriptParser
from console import print_error

ENTRIES: Mapping[str, tuple[str, Sequence[str], str]] = {
    "start": ("quickstart", [], "install, train on drawn images and serve, without Docker"),
    "pipeline": ("pipeline", ["repro"], "run the DVC pipeline from photos to a registered model"),
    "api": ("serve", ["--embedded"], "start the API and the dashboard"),
    "monitoring": ("monitor", ["start"], "start Prometheus, Alertmanager and Grafana"),
    "tests": ("test", [], "run all checks and tests"),
    "deploy": ("deploy", ["status"], "say what runs on Kubernetes"),
    "demo": ("demo", [], "walk through both tasks, step by step"),
}
"""Word: the script, its words if none are given, and what it does."""
_TEXT = """
Runs another script by a word: {script} pipeline repro. Without a word it shows a list to choose from.

words:
"""


def menu(parser: ScriptParser, argv: list[str]) -> int:
    """`scripts/menu`."""
    lines = (f"  {word:<22} {does}" for word, (_, _, does) in ENTRIES.items())
    parser.usage = f"{parser.script} [word] [words for its script]"
    parser.describe(_TEXT.format(script=parser.script) + "\n".join(lines))
    if argv and argv[0] in ENTRIES:
        return _run(parser, argv[0], argv[1:])
    if argv and not argv[0].startswith("-"):
        parser.error(f"there is no word {argv[0]}")
    parser.parse_args(argv)
    while (word := _chosen()) is not None:
        if word:
            _run(parser, word, [])
    return 0


def _chosen() -> str | None:
    """The word that is chosen; empty if what was typed is none of them, None to end."""
    words = list(ENTRIES)
    print("\nHandful")  # noqa: T201
    for number, (word, (_, _, does)) in enumerate(ENTRIES.items(), start=1):
        print(f"  {number}  {word:<12} {does}")  # noqa: T201
    print("  q  quit")  # noqa: T201
    try:
        typed = input("Choose: ").strip().lower()
    except (EOFError, KeyboardInterrupt):
        print()  # noqa: T201
        return None
    if typed in {"q", "quit", "exit"}:
        return None
    if typed.isdecimal() and 1 <= int(typed) <= len(words):
        return words[int(typed) - 1]
    if typed in ENTRIES:
        return typed
    print_error(f"{typed or 'an empty line'} is none of these: type a number, a word, or q")
    return ""


def _run(parser: ScriptParser, word: str, words: Sequence[str]) -> int:
    """Run a script as if it had been called itself, in a process of its own: it may take the terminal and end it."""
    script, usual, _ = ENTRIES[word]
    name = Path(parser.script).with_stem(script).name
    command: list[str | Path] = [sys.executable, "-B", ROOT / "scripts" / "run.py", name, *(words or usual)]
    try:
        return subprocess.run(command, check=False).returncode
    except KeyboardInterrupt:
        return 130
