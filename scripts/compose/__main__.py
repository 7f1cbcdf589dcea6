"""`python -m compose`: what scripts/up, down, train, serve, export and import call."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path

from compose import jobs
from compose.engine import Engine
from compose.errors import ComposeError
from compose.terminal import complain
from compose.up import down, prepare, up

ROOT = Path(__file__).resolve().parents[2]
_INTERRUPTED = 130


def main(words: list[str]) -> int:
    """Do what the words say.

    Returns:
        0, or the exit code of the error, whose line was printed.
    """
    engine = Engine(ROOT)
    # Words for a job are handed on as they are, options and all.
    if words and words[0] in jobs.COMMANDS:
        return _guarded(lambda: jobs.run(engine, ROOT, words[0], words[1:]))
    chosen = _parser().parse_args(words)
    if chosen.command == "init":
        return _guarded(lambda: prepare(engine, ROOT))
    if chosen.command == "down":
        return _guarded(lambda: down(engine, delete_data=chosen.delete_data))
    services = ("serving", "dashboard") if chosen.command == "serve" else ()
    return _guarded(lambda: up(engine, ROOT, services, build=not chosen.no_build))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="compose", description="Handful's Compose stack.")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    commands.add_parser("init", help="check this machine, and make .env and the secrets if they are not there")
    for name, what in (("up", "start the stack and wait until it is well"), ("serve", "start what answers requests")):
        starting = commands.add_parser(name, help=what)
        starting.add_argument("--no-build", action="store_true", help="take the images as they are")
    stopping = commands.add_parser("down", help="stop the stack; its data stays")
    stopping.add_argument("--delete-data", action="store_true", help="delete all data too: runs, models, artifacts")
    for name, what in jobs.COMMANDS.items():
        commands.add_parser(name, help=what, add_help=False)
    return parser


def _guarded(action: Callable[[], object]) -> int:
    """The exit code of an action; of an error too, after its line."""
    try:
        result = action()
    except ComposeError as error:
        complain(str(error))
        return error.exit_code
    except KeyboardInterrupt:
        complain("interrupted")
        return _INTERRUPTED
    return result if isinstance(result, int) else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
