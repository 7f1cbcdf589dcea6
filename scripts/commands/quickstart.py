"""quickstart: Handful on this machine, without Docker."""

from __future__ import annotations

from commands.process import become
from commands.words import Words
from installer.__main__ import main as install
from installer.layout import Layout

_TEXT = """
Installs Handful into .venv, starts MLflow and the server, draws a sample dataset, serves the starter model, trains on
the sample, registers and serves that model, lets it count test images, and stays up until Ctrl-C. Run again, it takes
up what is there.
"""
_AFTERWARDS = """
HANDFUL_PYTHON=/path/to/python names the Python to use; FILE is looked for from Handful's own folder.
"""
_INSTALL_ONLY = "--install-only"


def quickstart(words: Words, said: list[str]) -> int:
    """`scripts/quickstart`."""
    words.describe(_TEXT, _AFTERWARDS)
    words.add_argument("--exit", action="store_true", help="end after the check, with status 0 or 1")
    words.add_argument(_INSTALL_ONLY, action="store_true", help="stop after the installation")
    words.add_argument("--retrain", action="store_true", help="train again, though a champion serves already")
    words.add_argument("-c", "--config", metavar="FILE", help="the training's configuration: configs/sample.yaml")
    words.add_argument("--port", metavar="N", help="port of the API and the dashboard: 8000")
    words.add_argument("--mlflow-port", metavar="N", help="port of MLflow: 5000, or the next free one")
    words.add_argument("--debug", action="store_true", help="show the trace of an error")
    only_install = words.parse_args(said).install_only
    code = install(["services"])
    if code or only_install:
        return code
    return become([Layout.of_this_checkout().tool("handful"), "quickstart", *said])
