"""up, serve and down: the Compose stack."""

from __future__ import annotations

from collections.abc import Callable

from commands.words import ROOT, Words
from compose import up as starting
from compose.engine import Engine
from compose.errors import INTERRUPTED, ComposeError
from compose.terminal import complain

_UP = """
Starts the Compose stack and waits until all of it is well. First it looks whether Docker runs, the ports are free, the
disk has room and the secrets are no placeholders, and says in one line what is wrong before it changes anything. The
first time it then makes .env and the secrets, and builds the images.
"""
_SERVE = """
Starts what answers requests, the API and the dashboard of the Compose stack, with what they need, and waits until it is
well. It looks at everything first, and makes what is missing, as scripts/up does.
"""
_DOWN = """
Stops the Compose stack and removes its containers. Its data stays, and the next start goes on from there.
"""


def up(words: Words, said: list[str]) -> int:
    """`scripts/up`."""
    words.describe(_UP)
    words.add_argument("--no-build", action="store_true", help="take the images as they are")
    words.add_argument("--no-start", action="store_true", help="only look, and make .env and the secrets")
    chosen = words.parse_args(said)
    if chosen.no_start:
        return guarded(lambda: starting.prepare(Engine(ROOT), ROOT))
    return guarded(lambda: starting.up(Engine(ROOT), ROOT, build=not chosen.no_build))


def serve(words: Words, said: list[str]) -> int:
    """`scripts/serve`."""
    words.describe(_SERVE)
    words.add_argument("--no-build", action="store_true", help="take the images as they are")
    chosen = words.parse_args(said)
    return guarded(lambda: starting.up(Engine(ROOT), ROOT, ("serving", "dashboard"), build=not chosen.no_build))


def down(words: Words, said: list[str]) -> int:
    """`scripts/down`."""
    words.describe(_DOWN)
    words.add_argument("--delete-data", action="store_true", help="delete all data too: runs, models, artifacts")
    chosen = words.parse_args(said)
    return guarded(lambda: starting.down(Engine(ROOT), delete_data=chosen.delete_data))


def guarded(action: Callable[[], object]) -> int:
    """The exit code of an action; of an error too, after its line."""
    try:
        result = action()
    except ComposeError as error:
        complain(str(error))
        return error.exit_code
    except KeyboardInterrupt:
        complain("interrupted")
        return INTERRUPTED
    return result if isinstance(result, int) else 0
