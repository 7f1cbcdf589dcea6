"""`handful`: one command whose subcommands are the entry points of what is installed."""

from __future__ import annotations

import copy
import os
import re
import shutil
import sys
import traceback
from collections.abc import Callable
from importlib.metadata import EntryPoint, entry_points

import typer
from typer.exceptions import TyperException
from typer.models import CommandInfo

from handful_core import __version__
from handful_core.cli.help import PlainCommand, PlainGroup
from handful_core.console import err
from handful_core.errors import ConfigError, HandfulError, ResourceError
from handful_core.interruption import INTERRUPTION

GROUP = "handful.commands"
"""The entry-point group that an installed service adds its subcommands to: a function or a `typer.Typer`.

The subcommands of a `typer.Typer` NAME are its own and those of the group `handful.commands.NAME`, by which one service
adds to the commands of another.
"""

_INTERRUPTED = 130
_INTERNAL = 70


def build_app() -> typer.Typer:
    """The command with all subcommands that are installed."""
    app = typer.Typer(
        name="handful",
        cls=PlainGroup,
        help="Take a vision model from labelled images to a served, watched model.",
        no_args_is_help=True,
        pretty_exceptions_enable=False,
        rich_markup_mode=None,
    )
    app.callback()(_options)
    _add_commands(app, GROUP)
    return app


def _add_commands(app: typer.Typer, group: str) -> None:
    for entry in sorted(entry_points(group=group), key=lambda e: e.name):
        command = _load(entry, group)
        if isinstance(command, typer.Typer):
            # A copy: the service's own object stays as it is, however often the command is built.
            inner = copy.copy(command)
            inner.registered_commands = [_with_plain_help(each) for each in command.registered_commands]
            inner.registered_groups = [*command.registered_groups]
            _add_commands(inner, f"{group}.{entry.name}")
            app.add_typer(inner, name=entry.name, cls=PlainGroup)
        else:
            app.command(entry.name, cls=PlainCommand)(command)


def _with_plain_help(command: CommandInfo) -> CommandInfo:
    plain = copy.copy(command)
    plain.cls = PlainCommand
    return plain


def _load(entry: EntryPoint, group: str) -> typer.Typer | Callable[..., None]:
    """A service's subcommand; one that says why, where the service is not whole: the others must go on working."""
    try:
        command: typer.Typer | Callable[..., None] = entry.load()
    except ImportError as error:
        reason = str(error)
        name = " ".join([*group.removeprefix(GROUP).split(".")[1:], entry.name])

        def broken() -> None:
            raise ConfigError(f"handful {name} cannot be loaded ({reason})", "install its service again")

        broken.__doc__ = f"(cannot be loaded: {reason})"
        return broken
    return command


def main(arguments: list[str] | None = None) -> None:
    """Run the command and exit: 0, or the error's own code with one line that says what is wrong."""
    argv = list(sys.argv[1:] if arguments is None else arguments)
    debug = "--debug" in argv or os.environ.get("HANDFUL_DEBUG", "") not in {"", "0"}
    sys.exit(_run([word for word in argv if word != "--debug"], debug=debug))


def _run(argv: list[str], *, debug: bool) -> int:
    with INTERRUPTION.noted():
        try:
            return int(build_app()(argv, prog_name="handful", standalone_mode=False) or 0)
        except typer.Exit as error:
            return error.exit_code
        except (KeyboardInterrupt, typer.Abort):
            return _fail("interrupted", _INTERRUPTED, debug=False)
        except BaseException as error:  # The edge of the program: whatever came up, the user gets one line.
            if INTERRUPTION.came and not isinstance(error, SystemExit):
                return _fail("interrupted", _INTERRUPTED, debug=debug)
            if not isinstance(error, Exception):
                raise
            return _failed(error, debug=debug)


def _failed(error: Exception, *, debug: bool) -> int:
    """Say what is wrong; the exit code."""
    if isinstance(error, TyperException):
        return _usage_error(error, debug=debug)
    if isinstance(error, HandfulError):
        return _fail(str(error), error.exit_code, debug=debug)
    if isinstance(error, OSError):
        return _fail(str(_as_resource(error)), ResourceError.exit_code, debug=debug)
    what = " ".join(f"{type(error).__name__}: {error}".split())
    return _fail(f"unexpected {what}; run it again with --debug for the trace", _INTERNAL, debug=debug)


def _usage_error(error: TyperException, *, debug: bool) -> int:
    """Typer's message about wrong arguments; the help, where a group was named alone."""
    message = error.format_message().rstrip()
    if "\n" in message:
        typer.echo(message, err=True)
        return error.exit_code
    return _fail(f"{message.rstrip('.')}: see the command's --help", error.exit_code, debug=debug)


def _fail(line: str, code: int, *, debug: bool) -> int:
    if debug:
        traceback.print_exc()
    err.print(f"[bold red]error:[/] {line.replace('[', chr(92) + '[')}", highlight=False)
    return code


def _as_resource(error: OSError) -> ResourceError:
    if isinstance(error, shutil.Error) and isinstance(error.args[0], list):  # Of several files: one tells enough.
        _, place, reason = error.args[0][0]
        error = OSError(0, re.sub(r"^\[Errno \d+\] ", "", reason), place)
    where = f" ({error.filename})" if error.filename else ""
    return ResourceError(f"{error.strerror or error}{where}", "check free disk space, the path and its permissions")


def _version(value: bool) -> None:
    if value:
        typer.echo(f"handful {__version__}")
        raise typer.Exit


def _options(
    _: bool = typer.Option(False, "--version", callback=_version, is_eager=True, help="Print the version."),
    __: bool = typer.Option(False, "--debug", help="Show the trace of an error."),
) -> None:
    """Options of every command."""
