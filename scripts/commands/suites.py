"""The words of scripts/test: a part of the tests each, the benchmarks, or a report."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from commands.parser import ROOT
from console import print_status
from installer.layout import Layout

REPORT = Path("var") / "test-report.html"
_BENCHMARKS = ("http_layer.py", "serving.py", "prediction_log.py", "backup.py")
"""Those with a --quick: minutes together, enough to see that something became twice as slow."""

SUITES: Mapping[str, tuple[str, Sequence[str]]] = {
    "unit": ("unit and contract tests, which start no server", ["-m", "unit or contract"]),
    "api": ("the server: requests, models, limits", ["tests/unit/serving", "tests/integration/serving"]),
    "pipeline": ("the DVC pipeline", ["tests/unit/commands", "tests/integration/pipeline"]),
    "security": (
        "hostile packages, files and requests, keys, secrets",
        ["-k", "hostile or secret or origin or keys or bomb or password or passphrase or guard"],
    ),
    "report": (f"all tests, with one HTML page of results: {REPORT}", [f"--html={REPORT}", "--self-contained-html"]),
}
PERFORMANCE = "perf"


def explain() -> str:
    """A line for each word, for the help."""
    told = {"all": "everything, as without a word", **{name: text for name, (text, _) in SUITES.items()}}
    told[PERFORMANCE] = "quick benchmarks: ratios within one run"
    return "\n".join(f"  {name:<22} {text}" for name, text in told.items())


def run_benchmarks(layout: Layout) -> int:
    """Run the quick benchmarks one after the other.

    Returns:
        The first exit code that is not 0; the others are run all the same.
    """
    codes = []
    for name in _BENCHMARKS:
        print_status(f"tests/benchmarks/{name} --quick")
        command: list[str | Path] = [layout.python, ROOT / "tests" / "benchmarks" / name, "--quick"]
        codes.append(subprocess.run(command, check=False, cwd=ROOT).returncode)
    return next(filter(None, codes), 0)
