"""quickstart: Handful on this machine, without Docker."""

from __future__ import annotations

import shlex

from commands.parser import ROOT, ScriptParser
from commands.process import exec_command
from installer.__main__ import main as install
from installer.layout import Layout

_TEXT = """
Installs Handful into .venv, starts MLflow and the server, draws a sample dataset, serves the starter model, trains on
the sample, registers and serves that model, asks it for test images, and stays up until Ctrl-C. Run again, it takes
up what is there. With --task leaves it draws leaves with diseases and trains a classifier; else hands, and a detector.
"""
_EPILOG = """
HANDFUL_PYTHON=/path/to/python names the Python to use; FILE is looked for from Handful's own folder.
"""
_INSTALL_ONLY = "--install-only"


def quickstart(parser: ScriptParser, argv: list[str]) -> int:
    """`scripts/quickstart`."""
    parser.describe(_TEXT, _EPILOG)
    parser.add_argument("--exit", action="store_true", help="end after the check, with status 0 or 1")
    parser.add_argument(_INSTALL_ONLY, action="store_true", help="stop after the installation")
    parser.add_argument("--retrain", action="store_true", help="train again, though a champion serves already")
    parser.add_argument("--no-train", action="store_true", help="start the servers alone; draw and train nothing")
    parser.add_argument("--monitor", action="store_true", help="start the monitor, too, for the view Monitoring")
    parser.add_argument("--task", choices=("fingers", "leaves"), help="what is drawn and learnt: fingers or leaves")
    parser.add_argument(
        "-c", "--config", metavar="FILE", help="the training's configuration, instead of the task's own"
    )
    parser.add_argument("--port", metavar="N", help="port of the API and the dashboard: 8000")
    parser.add_argument("--mlflow-port", metavar="N", help="port of MLflow: 5000, or the next free one")
    parser.add_argument("--starter", metavar="NAMES", help="starter models of an empty registry: fingers, leaves, none")
    parser.add_argument("--debug", action="store_true", help="show the trace of an error")
    only_install = parser.parse_args(argv).install_only
    code = install(["services"])
    if code or only_install:
        return code
    return exec_command([Layout.of_this_checkout().tool("handful"), "quickstart", *argv])


def serve_embedded(port: str | None, mlflow_port: str | None, *, monitor: bool = False) -> int:
    """Install, and start the servers alone: `scripts/serve --embedded`."""
    code = install(["services"])
    if code:
        return code
    ports = {"--port": port, "--mlflow-port": mlflow_port}
    given = [word for option, value in ports.items() if value for word in (option, value)]
    given += ["--monitor"] if monitor else []
    return exec_command([Layout.of_this_checkout().tool("handful"), "quickstart", "--no-train", *given])


def serve_reloading(port: str | None) -> int:
    """Install, and start the server again for each change of its code: `scripts/serve --reload`."""
    code = install(["dev"])
    if code:
        return code
    layout = Layout.of_this_checkout()
    command = [str(layout.tool("handful")), "serve", *(["--port", port] if port else [])]
    watched = [ROOT / "services" / name / "src" for name in ("serving", "core")]
    return exec_command([layout.tool("watchfiles"), "--filter", "python", shlex.join(command), *watched])
