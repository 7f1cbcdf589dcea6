"""demo: both tasks, step by step, with the commands that you would type."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

from commands.parser import ROOT, ScriptParser
from console import print_error, print_status
from installer.__main__ import main as install
from installer.layout import Layout

_TEXT = """
Walks through both tasks with the starter models: starts the servers, shows what is served, asks both models, looks at
the monitoring, and saves and verifies a backup. It waits for Enter before each step, and stops the servers at the end.
"""
_FOLDER = Path("var") / "demo"
_SAMPLE = Path("dashboard") / "img" / "samples"
_START_SECONDS = 180
_INTERRUPTED = 130


@dataclass(frozen=True, slots=True)
class Step:
    """One thing to see."""

    title: str
    says: str
    commands: tuple[str, ...] = ()


def steps(port: str) -> tuple[Step, ...]:
    """The walk, for servers at a port of this machine."""
    hands = sorted(_SAMPLE.glob("*.webp"))[0].as_posix()
    backup = (_FOLDER / "backup.zip").as_posix()
    return (
        Step("Two models are served", "One finds hands, the other one classifies leaves.", ("handful models",)),
        Step("Fingers", "A detector counts the fingers that drawn hands hold up.", (f"handful predict {hands}",)),
        Step(
            "Leaves",
            "The classifier was trained on photos of coffee leaves. Asked about hands, it says that they look like "
            "nothing that it knows.",
            (f"handful predict {hands} --model leaves --json",),
        ),
        Step(
            "What a training would take",
            "A dry run prepares the images, and measures one step.",
            ("handful train --config configs/sample.yaml --dry-run",),
        ),
        Step(
            "Monitoring",
            "Serving logs numbers about its answers, never a picture. From 200 answers on, `handful monitor report` "
            "says whether they have changed since the model was accepted.",
        ),
        Step(
            "Backup",
            "All of MLflow in one file, with every hash checked.",
            (f"handful export --out {backup}", f"handful verify {backup}"),
        ),
        Step("Dashboard", f"Open http://127.0.0.1:{port} and try your own pictures, or the webcam."),
    )


def demo(parser: ScriptParser, argv: list[str]) -> int:
    """`scripts/demo`."""
    parser.describe(_TEXT)
    parser.add_argument("--no-pause", action="store_true", help="don't wait for Enter")
    parser.add_argument("--port", metavar="N", default="8000", help="port of the API and the dashboard: 8000")
    options = parser.parse_args(argv)
    if not options.port.isdecimal():
        parser.error("--port is a number")
    layout = Layout.of_this_checkout()
    if code := install(["services"]):
        return code
    os.chdir(ROOT)
    shutil.rmtree(_FOLDER, ignore_errors=True)
    _FOLDER.mkdir(parents=True)
    try:
        with _servers(layout, options.port) as ready:
            return _walk(layout, steps(options.port), pause=not options.no_pause) if ready else 1
    except KeyboardInterrupt:
        print_error("interrupted")
        return _INTERRUPTED


def _walk(layout: Layout, walk: tuple[Step, ...], *, pause: bool) -> int:
    """Show each step.

    Returns:
        The exit code of the first command that fails: the walk ends there.
    """
    for number, step in enumerate(walk, start=1):
        print(f"\n{number} of {len(walk)}: {step.title}\n{step.says}", flush=True)  # noqa: T201
        for command in step.commands:
            print(f"$ {command}", flush=True)  # noqa: T201
            _wait(pause)
            program, *words = shlex.split(command)
            if code := subprocess.run([layout.tool(program), *words], check=False).returncode:
                print_error(f"{command} ended with exit code {code}")
                return code
        if not step.commands:
            _wait(pause)
    return 0


def _wait(pause: bool) -> None:
    if pause:
        try:
            input("Enter to go on, Ctrl-C to end ")
        except EOFError:
            print()  # noqa: T201


@contextmanager
def _servers(layout: Layout, port: str) -> Iterator[bool]:
    """MLflow and serving with both starter models; false if they didn't start. They are stopped at the end."""
    log = _FOLDER / "servers.log"
    words = ["quickstart", "--no-train", "--starter", "fingers,leaves", "--port", port]
    print_status(f"starting the servers; what they say is in {log}")
    with log.open("wb") as output:
        started = subprocess.Popen(
            [layout.tool("handful"), *words], stdout=output, stderr=subprocess.STDOUT, start_new_session=True
        )
        try:
            yield _is_ready(started, f"http://127.0.0.1:{port}/health/ready", log)
        finally:
            started.terminate()
            started.wait()


def _is_ready(started: subprocess.Popen[bytes], address: str, log: Path) -> bool:
    for _ in range(_START_SECONDS):
        if started.poll() is not None:
            lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
            print_error(f"the servers ended: {lines[-1] if lines else f'exit code {started.returncode}'}")
            return False
        try:
            with urlopen(address, timeout=5):  # noqa: S310  # http, of this machine.
                return True
        except (URLError, OSError):
            time.sleep(1)
    print_error(f"the servers didn't answer within {_START_SECONDS} seconds: see {log}")
    return False
