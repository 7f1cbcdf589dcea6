"""`handful doctor`: what is installed, reachable and writable, and how to mend what is not."""

from __future__ import annotations

import platform
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Annotated

import typer

from handful_core.console import print_json, print_table
from handful_core.errors import HandfulError
from handful_core.settings import CoreSettings, load

_ENOUGH_DISK_GIB = 5
_SERVICES = ("handful-core", "handful-trainer", "handful-serving")
_PYTHONS = ((3, 11), (3, 13))


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that was looked at."""

    what: str
    state: str
    """ok, missing (fine unless you need it), or broken."""
    detail: str
    fix: str = ""


def doctor(as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False) -> None:
    """Look at this installation: what is there, what answers, what to mend. Exit code 1 if something is broken."""
    core = load(CoreSettings)
    checks = [*_python(), *_installed(), *_home(core.home), _mlflow(core.mlflow_uri), _serving(core.server)]
    if as_json:
        print_json([asdict(check) for check in checks])
    else:
        rows = [(check.what, check.state, check.detail, check.fix) for check in checks]
        print_table("Handful", ("what", "state", "detail", "what to do"), rows)
    if any(check.state == "broken" for check in checks):
        raise typer.Exit(1)


def _python() -> Iterator[Check]:
    here = sys.version_info[:2]
    fits = _PYTHONS[0] <= here <= _PYTHONS[1]
    fix = "" if fits else "use Python 3.11, 3.12 or 3.13"
    yield Check("python", "ok" if fits else "broken", f"{platform.python_version()} at {sys.prefix}", fix)


def _installed() -> Iterator[Check]:
    for name in _SERVICES:
        try:
            yield Check(name, "ok", version(name))
        except PackageNotFoundError:
            yield Check(
                name, "missing", "not installed here", f"pip install -e services/{name.removeprefix('handful-')}"
            )


def _home(home: Path) -> Iterator[Check]:
    try:
        home.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=home):
            yield Check("home", "ok", f"{home.resolve()} is writable")
    except OSError as error:
        yield Check("home", "broken", f"{home}: {error.strerror}", "set HANDFUL_HOME to a folder that you may write to")
        return
    free = shutil.disk_usage(home).free / 2**30
    enough = free >= _ENOUGH_DISK_GIB
    fix = "" if enough else f"free some: trainings want {_ENOUGH_DISK_GIB} GiB"
    yield Check("disk", "ok" if enough else "broken", f"{free:.1f} GiB free", fix)


def _mlflow(uri: str) -> Check:
    def count() -> str:
        from handful_core.registry import Registry

        with Registry(uri, timeout=3) as registry:
            models, address = registry.models(), registry.uri
        champions = sum("champion" in model.aliases for model in models)
        return f"{address} answers: registered models: {len(models)}, with a champion: {champions}"

    return _reached("mlflow", count, "start it (scripts/quickstart.sh does) or set HANDFUL_MLFLOW_URI")


def _serving(server: str) -> Check:
    def ask() -> str:
        from handful_core.client import ServingClient

        with ServingClient(server) as remote:
            return f"{server} is {remote.readiness()}"

    return _reached("serving", ask, "start it with `handful serve` or set HANDFUL_SERVER")


def _reached(what: str, ask: Callable[[], str], fix: str) -> Check:
    try:
        return Check(what, "ok", ask())
    except HandfulError as error:
        return Check(what, "missing", error.message, fix)
    except ImportError as error:
        return Check(what, "missing", f"{error.name} is not installed", "pip install 'handful-core[registry]'")
