from __future__ import annotations

import shutil
import signal
from collections.abc import Callable
from typing import Any

import pytest
import typer

from handful_core import __version__, errors
from handful_core.cli import main as main_module
from handful_core.errors import (
    ConfigError,
    DataError,
    HandfulError,
    NotFoundError,
    PackageError,
    RefusedError,
    ResourceError,
    UnavailableError,
)
from handful_core.package import errors as package_errors


class Entry:
    def __init__(self, name: str, command: Any) -> None:
        self.name = name
        self._command = command

    def load(self) -> Any:
        if isinstance(self._command, ImportError):
            raise self._command
        return self._command


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    """Runs `handful` with the given commands installed: exit status, standard output, standard error."""

    def running(*words: str, more: dict[str, dict[str, Any]] | None = None, **commands: Any) -> tuple[int, str, str]:
        groups = {main_module.GROUP: commands, **(more or {})}

        def entry_points(group: str) -> list[Entry]:
            return [Entry(name, command) for name, command in groups.get(group, {}).items()]

        monkeypatch.setattr(main_module, "entry_points", entry_points)
        with pytest.raises(SystemExit) as ended:
            main_module.main(list(words))
        out, err = capsys.readouterr()
        return int(ended.value.code or 0), out, err

    return running


def failing(error: BaseException) -> Callable[[], None]:
    def fail() -> None:
        raise error

    return fail


@pytest.mark.parametrize(
    ("kind", "status"),
    [
        (HandfulError, 1),
        (ConfigError, 2),
        (DataError, 3),
        (PackageError, 4),
        (package_errors.GoldenError, 4),
        (UnavailableError, 5),
        (ResourceError, 6),
        (NotFoundError, 7),
        (RefusedError, 8),
    ],
)
def test_every_kind_of_error_has_its_status_and_one_line(
    run: Callable[..., tuple[int, str, str]], kind: type[HandfulError], status: int
) -> None:
    assert run("fail", fail=failing(kind("it is\nbroken", "mend it"))) == (status, "", "error: it is broken: mend it\n")


def test_the_tree_in_the_docstring_names_every_kind() -> None:
    for kind in HandfulError.__subclasses__():
        if kind.__module__ == errors.__name__:
            line = next(line for line in (errors.__doc__ or "").splitlines() if f" {kind.__name__} " in line)
            assert f" {kind.exit_code} " in line


class Panic(BaseException):
    """As of Rust libraries: no Exception."""


_BECOMES = [
    RuntimeError("in C++"),
    SystemError("returned a result with an exception set"),
    ImportError("numpy._core.multiarray failed to import"),
    AttributeError("partially initialized module"),
    OSError(5, "the end of the file cannot be written"),
    DataError("the worker ended"),
    Panic("in Rust"),
]


@pytest.mark.parametrize("becomes", _BECOMES, ids=lambda error: type(error).__name__)
@pytest.mark.parametrize("chained", [True, False], ids=["chained", "not chained"])
def test_ctrl_c_stays_ctrl_c_whatever_a_library_makes_of_it(
    run: Callable[..., tuple[int, str, str]], becomes: BaseException, chained: bool
) -> None:
    def interrupted() -> None:
        caught = None
        try:
            signal.raise_signal(signal.SIGINT)
        except KeyboardInterrupt as error:
            caught = error
        raise becomes from (caught if chained else None)

    assert run("stop", stop=interrupted) == (130, "", "error: interrupted\n")
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


@pytest.mark.parametrize("error", _BECOMES[:-1], ids=lambda error: type(error).__name__)
def test_without_it_the_same_errors_are_faults(run: Callable[..., tuple[int, str, str]], error: BaseException) -> None:
    assert run("stop", stop=failing(KeyboardInterrupt()))[0] == 130
    assert run("fail", fail=failing(error))[0] in {3, 6, 70}


def test_square_brackets_are_shown_as_they_are(run: Callable[..., tuple[int, str, str]]) -> None:
    status, _, err = run("fail", fail=failing(DataError("shape [1, 2] of [bold]x[/]", "see [docs]")))
    assert (status, err) == (3, "error: shape [1, 2] of [bold]x[/]: see [docs]\n")


def test_a_full_disk_is_a_matter_of_the_machine(run: Callable[..., tuple[int, str, str]]) -> None:
    status, _, err = run("fail", fail=failing(OSError(28, "No space left on device", "/tmp/x")))  # noqa: S108
    assert status == 6
    assert err == "error: No space left on device (/tmp/x): check free disk space, the path and its permissions\n"


def test_of_several_files_that_cannot_be_written_one_is_told(run: Callable[..., tuple[int, str, str]]) -> None:
    files = [(f"/from/{name}", f"/to/{name}", "[Errno 28] No space left on device") for name in "ab"]
    status, _, err = run("fail", fail=failing(shutil.Error(files)))
    assert status == 6
    assert err == "error: No space left on device (/to/a): check free disk space, the path and its permissions\n"


def test_what_was_not_foreseen_is_one_line_too(run: Callable[..., tuple[int, str, str]]) -> None:
    status, _, err = run("fail", fail=failing(ZeroDivisionError("division\nby zero")))
    assert status == 70
    assert err == ("error: unexpected ZeroDivisionError: division by zero; run it again with --debug for the trace\n")


@pytest.mark.parametrize("words", [["--debug", "fail"], ["fail", "--debug"]])
def test_debug_shows_the_trace(run: Callable[..., tuple[int, str, str]], words: list[str]) -> None:
    status, _, err = run(*words, fail=failing(DataError("broken")))
    assert status == 3
    assert "Traceback" in err
    assert err.endswith("error: broken\n")


def test_debug_may_be_set_in_the_environment(
    run: Callable[..., tuple[int, str, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HANDFUL_DEBUG", "0")
    assert "Traceback" not in run("fail", fail=failing(DataError("broken")))[2]
    monkeypatch.setenv("HANDFUL_DEBUG", "1")
    assert "Traceback" in run("fail", fail=failing(DataError("broken")))[2]


@pytest.mark.parametrize("error", [KeyboardInterrupt(), typer.Abort()])
def test_an_interruption_has_the_status_of_a_shell(
    run: Callable[..., tuple[int, str, str]], error: BaseException
) -> None:
    status, out, err = run("fail", fail=failing(error))
    assert (status, out) == (130, "")
    assert err in {"", "error: interrupted\n"}


def test_a_command_may_choose_its_status(run: Callable[..., tuple[int, str, str]]) -> None:
    assert run("leave", leave=failing(typer.Exit(9))) == (9, "", "")


def number(count: int, port: int = typer.Option(1, min=1, max=9)) -> None:
    typer.echo(f"{count} {port}")


def test_a_command_gets_its_words(run: Callable[..., tuple[int, str, str]]) -> None:
    assert run("number", "3", "--port", "4", number=number) == (0, "3 4\n", "")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["nobody"], "No such command 'nobody'"),
        (["number", "--nope"], "No such option: --nope"),
        (["number"], "Missing argument 'count'"),
        (["number", "many"], "Invalid value for 'count'"),
        (["number", "3", "--port", "10"], "Invalid value for '--port'"),
    ],
)
def test_wrong_words_are_told_in_one_line(
    run: Callable[..., tuple[int, str, str]], words: list[str], said: str
) -> None:
    status, out, err = run(*words, number=number)
    assert (status, out) == (2, "")
    assert err.startswith(f"error: {said}")
    assert err.count("\n") == 1
    assert "--help" in err


def test_no_words_show_the_help(run: Callable[..., tuple[int, str, str]]) -> None:
    status, _, err = run(number=number)
    assert status == 2
    assert err.startswith("Usage: handful")
    assert "number" in err
    assert "error:" not in err


def test_a_group_brings_its_subcommands(run: Callable[..., tuple[int, str, str]]) -> None:
    group = typer.Typer()
    group.command("one")(lambda: typer.echo("first"))
    group.command("two")(lambda: typer.echo("second"))
    assert run("data", "two", data=group) == (0, "second\n", "")


def test_a_service_that_is_not_whole_leaves_the_others_alone(run: Callable[..., tuple[int, str, str]]) -> None:
    broken = ImportError("No module named 'torch'")
    assert run("number", "3", number=number, train=broken) == (0, "3 1\n", "")
    status, _, err = run("train", train=broken, number=number)
    assert status == 2
    assert err == "error: handful train cannot be loaded (No module named 'torch'): install its service again\n"


def test_a_service_adds_to_the_commands_of_another(run: Callable[..., tuple[int, str, str]]) -> None:
    group = typer.Typer()
    group.command("own")(number)
    for _ in range(2):
        assert run("data", "more", "3", data=group, more={"handful.commands.data": {"more": number}}) == (
            0,
            "3 1\n",
            "",
        )
        assert run("data", "own", "3", data=group, more={"handful.commands.data": {"more": number}}) == (0, "3 1\n", "")
    assert len(group.registered_commands) == 1


def test_a_subcommand_that_is_not_whole_is_told_by_its_full_name(run: Callable[..., tuple[int, str, str]]) -> None:
    group = typer.Typer()
    group.command("own")(number)
    broken = ImportError("No module named 'cv2'")
    status, _, err = run("data", "more", data=group, more={"handful.commands.data": {"more": broken}})
    assert status == 2
    assert err == "error: handful data more cannot be loaded (No module named 'cv2'): install its service again\n"


def test_the_version(run: Callable[..., tuple[int, str, str]]) -> None:
    assert run("--version", number=number) == (0, f"handful {__version__}\n", "")
