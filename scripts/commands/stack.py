"""up, serve and down: the Compose stack."""

from __future__ import annotations

from collections.abc import Callable

from commands.parser import ROOT, ScriptParser
from commands.quickstart import serve_embedded, serve_reloading
from compose import stack
from compose.docker import DockerCli
from compose.errors import INTERRUPTED, ComposeError
from console import print_error

_UP = """
Starts the Compose stack and waits until all of it is well. First it looks whether Docker runs, the ports are free, the
disk has room and the secrets are no placeholders, and says in one line what is wrong before it changes anything. The
first time it then makes .env and the secrets, and builds the images.
"""
_SERVE = """
Starts what answers requests, the API and the dashboard of the Compose stack, with what they need, and waits until it is
well. It looks at everything first, and makes what is missing, as scripts/up does. With --embedded it needs no Docker:
it installs Handful into .venv, starts MLflow and the server on this machine, and stays up until Ctrl-C.
"""
_DOWN = """
Stops the Compose stack and removes its containers. Its data stays, and the next start goes on from there.
"""


def up(parser: ScriptParser, argv: list[str]) -> int:
    """`scripts/up`."""
    parser.describe(_UP)
    parser.add_argument("--no-build", action="store_true", help="take the images as they are")
    parser.add_argument("--no-start", action="store_true", help="only look, and make .env and the secrets")
    options = parser.parse_args(argv)
    if options.no_start:
        return guarded(lambda: stack.prepare(DockerCli(ROOT), ROOT))
    return guarded(lambda: stack.up(DockerCli(ROOT), ROOT, build=not options.no_build))


def serve(parser: ScriptParser, argv: list[str]) -> int:
    """`scripts/serve`."""
    parser.describe(_SERVE)
    parser.add_argument("--no-build", action="store_true", help="take the images as they are")
    parser.add_argument("--embedded", action="store_true", help="without Docker: the servers of scripts/quickstart")
    parser.add_argument("--reload", action="store_true", help="for developers: only the server, anew for each change")
    parser.add_argument("--port", metavar="N", help="with --embedded or --reload: port of the API, 8000")
    parser.add_argument("--mlflow-port", metavar="N", help="with --embedded: port of MLflow, 5000 or the next free one")
    parser.add_argument("--monitor", action="store_true", help="with --embedded: start the monitor, too")
    options = parser.parse_args(argv)
    if options.reload:
        if options.embedded or options.mlflow_port or options.no_build:
            parser.error("--reload goes with --port alone: MLflow has to run already")
        return serve_reloading(options.port)
    if options.embedded:
        return serve_embedded(options.port, options.mlflow_port, monitor=options.monitor)
    if options.port or options.mlflow_port:
        parser.error("--port and --mlflow-port are for --embedded: the stack's ports are in .env")
    if options.monitor:
        parser.error("--monitor is for --embedded: the stack has it with docker compose --profile monitoring up --wait")
    return guarded(lambda: stack.up(DockerCli(ROOT), ROOT, ("serving", "dashboard"), build=not options.no_build))


def down(parser: ScriptParser, argv: list[str]) -> int:
    """`scripts/down`."""
    parser.describe(_DOWN)
    parser.add_argument("--delete-data", action="store_true", help="delete all data too: runs, models, artifacts")
    options = parser.parse_args(argv)
    return guarded(lambda: stack.down(DockerCli(ROOT), delete_data=options.delete_data))


def guarded(action: Callable[[], object]) -> int:
    """Run an action and return its exit code; print the line of an error."""
    try:
        result = action()
    except ComposeError as error:
        print_error(str(error))
        return error.exit_code
    except KeyboardInterrupt:
        print_error("interrupted")
        return INTERRUPTED
    return result if isinstance(result, int) else 0
