"""test: checks and tests everything; what it needs for that it installs first."""

from __future__ import annotations

import os
import subprocess
import sys
from argparse import Namespace
from pathlib import Path

from commands.docker_engine import TestDockerEngine
from commands.parser import ROOT, ScriptParser
from commands.process import exec_command
from commands.suites import PERFORMANCE, SUITES, explain, run_benchmarks
from console import print_error
from installer.__main__ import main as install
from installer.layout import Layout
from installer.programs import (
    ensure_actionlint,
    ensure_browser,
    ensure_postgres,
    ensure_prometheus,
    ensure_wine,
)

_TEXT = """
Installs Handful and its test tools, then runs ruff, mypy, import-linter, deptry, shellcheck, and pytest with coverage.
The Compose stack is tested too where a Docker engine answers, or can be started by ../shared/docker/engine.

words:
"""
_EPILOG = "Other words go to pytest, which then measures no coverage: {script} tests/unit/core -k manifest"
_COVERAGE = ("--cov", "--cov-report=term:skip-covered")
_SLOWEST = ("--durations=20", "--durations-min=5")
_WORKERS = ("--numprocesses", "2")
"""As many as a small machine has processors. tests/support/scheduling.py decides who gets which tests."""


def test(parser: ScriptParser, argv: list[str]) -> int:
    """`scripts/test`."""
    parser.usage = f"{parser.script} [word] [--fast | --slow | --stack | --cluster] [words for pytest]"
    parser.describe(_TEXT + explain(), _EPILOG.format(script=parser.script))
    group = parser.add_mutually_exclusive_group()
    group.add_argument("--fast", action="store_true", help="only unit and contract tests, which start no server")
    group.add_argument("--slow", action="store_true", help="the tests that take minutes, too")
    group.add_argument("--stack", action="store_true", help="only the tests of the Compose stack, all of them")
    group.add_argument("--cluster", action="store_true", help="only the tests on a real Kubernetes, of their own")
    word, argv = (argv[0], argv[1:]) if argv and argv[0] in ("all", PERFORMANCE, *SUITES) else ("all", argv)
    options, rest = parser.parse_known_args(argv)
    if word != "all" and any(vars(options).values()):
        parser.error(f"options don't go with the word {word}: words for pytest do")
    layout = Layout.of_this_checkout()
    if code := install(["dev"]):
        return code
    if word == PERFORMANCE:
        return run_benchmarks(layout)
    _install_programs(layout, servers=not options.fast and word != "unit")
    if word != "all":
        return exec_command([layout.tool("pytest"), *_WORKERS, *SUITES[word][1], *rest])
    return _check_and_test(layout, options, rest)


def _install_programs(layout: Layout, *, servers: bool) -> None:
    ensure_actionlint(layout)
    os.environ["CHROMIUM"] = os.environ.get("CHROMIUM") or ensure_browser(layout)
    if servers:
        ensure_postgres()
        ensure_prometheus()
        ensure_wine()
    os.environ["PATH"] = os.pathsep.join([str(layout.python.parent), os.environ.get("PATH", "")])
    os.chdir(ROOT)


def _check_and_test(layout: Layout, options: Namespace, rest: list[str]) -> int:
    with_stack = options.stack or not (options.fast or options.cluster or rest)
    engine = TestDockerEngine() if (with_stack or options.cluster) and TestDockerEngine.is_available() else None
    if failed := _first_failing_check(layout):
        print_error(f"{failed} found faults, see above: nothing was tested")
        if engine:
            engine.cancel()
        return 1
    # Joined by `=`: pytest takes a folder that stands by itself for its root.
    stack = [*(["--stack"] if with_stack else []), *([f"--engine={engine.folder}"] if engine else [])]
    print("==> pytest", flush=True)  # noqa: T201
    if _measures_coverage():
        os.environ["COVERAGE_CORE"] = os.environ.get("COVERAGE_CORE") or "sysmon"
    else:
        print("no coverage is measured: on Python 3.11 that takes half as long again; 3.12 does it", flush=True)  # noqa: T201
    return exec_command([layout.tool("pytest"), *_pytest_arguments(options, rest), *stack])


def _pytest_arguments(options: Namespace, rest: list[str]) -> list[str]:
    if options.fast:
        return ["-m", "unit or contract", *(rest or _WORKERS)]
    if options.stack:
        return ["tests/stack", "--slow", *rest]
    if options.cluster:
        return ["tests/cluster", "--cluster", *rest]
    coverage = _COVERAGE if _measures_coverage() else ()
    return [*(["--slow"] if options.slow else []), *(rest or (*_WORKERS, *_SLOWEST, *coverage))]


def _measures_coverage() -> bool:
    """Whether Python can tell of lines by itself, which costs next to nothing, or somebody has asked for it."""
    return sys.version_info >= (3, 12) or bool(os.environ.get("COVERAGE_CORE"))


def _first_failing_check(layout: Layout) -> str:
    """The first check that finds faults; empty if none does."""
    # Grimp, which import-linter reads imports with, finds packages as Python does: these two folders are not installed.
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(["scripts", "services/mlflow/src"])}
    for name, (program, *arguments) in _checks(layout).items():
        print(f"==> {name}", flush=True)  # noqa: T201
        if subprocess.run([layout.tool(program), *arguments], check=False, env=environment).returncode:
            return name
    return ""


def _checks(layout: Layout) -> dict[str, list[str]]:
    """Each check's command, by its name."""
    scripts = sorted([*ROOT.glob("scripts/*.sh"), *ROOT.glob("scripts/lib/*.sh"), ROOT / ".ci" / "run"])
    return {
        "ruff": ["ruff", "check", "."],
        "ruff format": ["ruff", "format", "--check", "."],
        "mypy": ["mypy"],
        "import-linter": ["lint-imports", "--no-cache", "--no-logo"],
        # One by one: what a service imports must stand in its own pyproject.toml.
        **{f"deptry {service.name}": ["deptry", *_deptry(service)] for service in layout.services},
        "shellcheck": ["shellcheck", "--external-sources", *map(str, scripts)],
    }


def _deptry(service: Path) -> list[str]:
    return [str(service / "src"), "--config", str(service / "pyproject.toml")]
