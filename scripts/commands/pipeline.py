"""pipeline: the stages of dvc.yaml, run by DVC."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path

from commands.parser import ROOT, ScriptParser
from commands.pipeline_checks import check
from commands.pipeline_remote import RemoteError, configure_remote, remote_environment
from commands.process import exec_command
from console import print_error, print_status
from installer.__main__ import guarded
from installer.__main__ import main as install
from installer.dvc import ensure_dvc
from installer.layout import Layout

_TEXT = """
Runs the pipeline of dvc.yaml: prepare, train, package, evaluate, register. DVC runs the stages whose images or
parameters changed, and keeps what comes of them. It is installed into .venv-dvc.

commands:
  check                  look whether everything is there; changes nothing
  init                   make this folder a DVC project, and set where its files go: see --remote
  repro                  run the stages whose images or parameters changed
  dag                    show how the stages hang together
  push, pull             send what the stages made to the remote, or get it from there
  status, metrics, plots, params, add, checkout
                         as in DVC: metrics show, metrics diff, plots show, add data/leaves
  dvc                    all of DVC: dvc gc --workspace
"""
_EPILOG = """
All words behind a command other than check and init are DVC's: {script} repro train --force
"""
_OURS = ("check", "init")
_OF_DVC = ("repro", "dag", "push", "pull", "status", "metrics", "plots", "params", "add", "checkout")


def pipeline(parser: ScriptParser, argv: list[str]) -> int:
    """`scripts/pipeline`."""
    parser.usage = f"{parser.script} [options] COMMAND [words for DVC]"
    parser.describe(_TEXT, _EPILOG.format(script=parser.script))
    parser.add_argument(
        "--remote", metavar="PLACE", help="with init: a folder, s3://BUCKET/PATH, or stack: the Compose stack's store"
    )
    parser.add_argument("--endpoint", metavar="URL", help="with init: the address of an S3 that is not Amazon's")
    command, words = (argv[0], argv[1:]) if argv and not argv[0].startswith("-") else ("", argv)
    if command in (*_OF_DVC, "dvc"):
        return _run_dvc([*([] if command == "dvc" else [command]), *words])
    options = parser.parse_args(words)
    if command not in _OURS:
        parser.error(f"there is no command {command}" if command else "name a command")
    if command == "check":
        if options.remote or options.endpoint:
            parser.error("--remote and --endpoint belong to init")
        return check(Layout.of_this_checkout())
    return _installed(lambda dvc: init_project(dvc, ROOT, options.remote or "", options.endpoint or ""))


def _run_dvc(words: Sequence[str]) -> int:
    def run(dvc: Path) -> int:
        os.environ.update(dvc_environment(ROOT))
        return exec_command([dvc, *words])

    return _installed(run)


def _installed(action: Callable[[Path], int]) -> int:
    """Do something with DVC, after Handful and DVC are installed."""
    layout = Layout.of_this_checkout()
    if code := install(["services"]):
        return code
    found: list[Path] = []
    if code := guarded(lambda: found.append(ensure_dvc(layout))):
        return code
    try:
        return action(found[0])
    except RemoteError as error:
        print_error(str(error))
        return error.exit_code


def init_project(dvc: Path, root: Path, remote: str = "", endpoint: str = "") -> int:
    """Make a folder a DVC project, and set its remote.

    Args:
        dvc: the program.
        root: the folder, with dvc.yaml in it.
        remote: a folder, s3://BUCKET/PATH, or stack; as it is if empty.
        endpoint: the address of an S3 that is not Amazon's.

    Raises:
        RemoteError: the remote is no such place, or DVC refuses.
    """
    environment = os.environ | {"DVC_NO_ANALYTICS": "true"}

    def call(*words: str) -> None:
        done = subprocess.run([dvc, *words, "--quiet"], cwd=root, env=environment, check=False)
        if done.returncode:
            raise RemoteError(f"dvc {' '.join(words)} failed, see above", done.returncode)

    if not (root / ".dvc").is_dir():
        call("init", *([] if (root / ".git").exists() else ["--no-scm"]))
        call("config", "core.analytics", "false")
        print_status(
            "this folder is a DVC project now: commit .dvc/config, .dvc/.gitignore and dvc.lock, once it is there"
        )
    if remote:
        configure_remote(call, root, remote, endpoint)
        print_status(f"the remote is {remote}: scripts/pipeline push sends to it, pull gets from it")
    elif endpoint:
        raise RemoteError("--endpoint needs --remote s3://BUCKET/PATH")
    return 0


def dvc_environment(root: Path) -> dict[str, str]:
    """What DVC and the stages find: `handful` before all, no telemetry, and the stack's keys if they are needed."""
    tools = Layout(root).python.parent
    path = os.pathsep.join([str(tools), os.environ.get("PATH", "")])
    return {"DVC_NO_ANALYTICS": "true", **remote_environment(root), "PATH": path}
