"""test: checks and tests everything; what it needs for that it installs first."""

from __future__ import annotations

import os
import subprocess
import sys
from argparse import Namespace
from pathlib import Path

from commands.docker import Engine
from commands.process import become
from commands.words import ROOT, Words
from installer.__main__ import main as install
from installer.browser import ensure_browser
from installer.layout import Layout
from installer.postgres import ensure_postgres

_TEXT = """
Installs Handful and its test tools, then runs ruff, mypy, shellcheck and pytest with coverage. The Compose stack is
tested too where a Docker engine answers, or can be started by ../shared/docker/engine.
"""
_AFTERWARDS = "Other words go to pytest, which then measures no coverage: {script} tests/unit/core -k manifest"
_COVERAGE = ("--cov", "--cov-report=term:skip-covered")
_AT_ONCE = ("--numprocesses", "2")
"""Workers: what a small machine has processors for. Who gets which tests is told in tests/support/sharing.py."""


def test(words: Words, said: list[str]) -> int:
    """`scripts/test`."""
    words.usage = f"{words.script} [--fast | --slow | --stack] [words for pytest]"
    words.describe(_TEXT, _AFTERWARDS.format(script=words.script))
    some = words.add_mutually_exclusive_group()
    some.add_argument("--fast", action="store_true", help="only unit and contract tests, which start no server")
    some.add_argument("--slow", action="store_true", help="the tests that take minutes, too")
    some.add_argument("--stack", action="store_true", help="only the tests of the Compose stack, all of them")
    chosen, rest = words.parse_known_args(said)
    layout = Layout.of_this_checkout()
    if code := install(["dev"]):
        return code
    os.environ["CHROMIUM"] = os.environ.get("CHROMIUM") or ensure_browser(layout)
    if not chosen.fast:
        ensure_postgres()
    os.environ["PATH"] = os.pathsep.join([str(layout.python.parent), os.environ.get("PATH", "")])
    os.chdir(ROOT)
    wanted = chosen.stack or not (chosen.fast or rest)
    engine = Engine() if wanted and Engine.is_here() else None
    if faulty := _faulty(layout):
        print(f"error: {faulty} found faults, see above: nothing was tested", file=sys.stderr)  # noqa: T201
        if engine:
            engine.give_up()
        return 1
    # In one word: pytest takes a folder that stands by itself for its root.
    stack = [*(["--stack"] if wanted else []), *([f"--engine={engine.folder}"] if engine else [])]
    print("==> pytest", flush=True)  # noqa: T201
    if sys.version_info >= (3, 12):
        # It costs next to nothing, where the tracer adds half of the time that tests take. Python 3.11 has none.
        os.environ["COVERAGE_CORE"] = os.environ.get("COVERAGE_CORE") or "sysmon"
    return become([layout.tool("pytest"), *_pytest_words(chosen, rest), *stack])


def _pytest_words(chosen: Namespace, rest: list[str]) -> list[str]:
    if chosen.fast:
        return ["-m", "unit or contract", *(rest or _AT_ONCE)]
    if chosen.stack:
        return ["tests/stack", "--slow", *rest]
    return [*(["--slow"] if chosen.slow else []), *(rest or (*_AT_ONCE, *_COVERAGE))]


def _faulty(layout: Layout) -> str:
    """The first check that finds faults; empty if none does."""
    scripts = [*ROOT.glob("scripts/*.sh"), *ROOT.glob("scripts/lib/*.sh"), ROOT / ".ci" / "run"]
    checks: dict[str, list[str | Path]] = {
        "ruff": ["ruff", "check", "."],
        "ruff format": ["ruff", "format", "--check", "."],
        "mypy": ["mypy"],
        "shellcheck": ["shellcheck", "--external-sources", *map(str, sorted(scripts))],
    }
    for name, (program, *options) in checks.items():
        print(f"==> {name}", flush=True)  # noqa: T201
        if subprocess.run([layout.tool(str(program)), *options], check=False).returncode:
            return name
    return ""
