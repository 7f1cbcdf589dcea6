"""pipeline check: what the pipeline needs, what is there, and what to do where it is not."""

from __future__ import annotations

import json
import os
import subprocess
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from commands.pipeline_remote import RemoteError, default_remote, remote_environment
from installer.dvc import dvc_layout, has_dvc
from installer.layout import Layout

_MLFLOW = "http://127.0.0.1:5000"
_SECONDS = 300


class Check(NamedTuple):
    """One thing that was looked at."""

    what: str
    state: str
    """ok, missing (fine unless you need it), or broken."""
    detail: str


def check(layout: Layout) -> int:
    """Look at everything and print it.

    Returns:
        1 if something is broken, else 0.
    """
    checks = list(_checks(layout))
    for found in checks:
        print(f"{found.state:8}{found.what:10}{found.detail}")  # noqa: T201  # The result.
    return int(any(found.state == "broken" for found in checks))


def _checks(layout: Layout) -> Iterator[Check]:
    handful = layout.tool("handful").exists()
    yield Check("handful", *(("ok", str(layout.venv)) if handful else ("broken", "install it: scripts/quickstart")))
    yield _mlflow()
    if not has_dvc(layout):
        yield Check("dvc", "broken", "it is not installed: scripts/pipeline init installs it")
        return
    own = dvc_layout(layout)
    yield Check("dvc", "ok", str(own.venv))
    if not (layout.root / ".dvc").is_dir():
        yield Check("project", "broken", "this folder is no DVC project: scripts/pipeline init makes it one")
        return
    yield from _stages(own)
    yield _remote(own)


def _mlflow() -> Check:
    address = os.environ.get("HANDFUL_MLFLOW_URI") or os.environ.get("MLFLOW_TRACKING_URI") or _MLFLOW
    try:
        with urllib.request.urlopen(f"{address.rstrip('/')}/health", timeout=10):  # noqa: S310  # As the user set it.
            return Check("mlflow", "ok", f"{address} answers")
    except (OSError, ValueError, urllib.error.URLError):
        return Check(
            "mlflow",
            "broken",
            f"{address} does not answer: start it (scripts/serve --embedded), or set HANDFUL_MLFLOW_URI",
        )


def _stages(own: Layout) -> Iterator[Check]:
    """Whether DVC understands dvc.yaml, whether the images are there, and what would run."""
    found = _dvc_json(own, "status", "--json")
    if isinstance(found, str):
        yield Check("stages", "broken", found)
        return
    gone = sorted(
        path
        for changes in found.values()
        for change in changes
        if isinstance(change, dict)
        for path, state in change.get("changed deps", {}).items()
        if state == "deleted" and not path.startswith("var/")
    )
    if gone:
        yield Check("images", "broken", f"{', '.join(gone)} is not there: see dataset.path, or scripts/pipeline pull")
    waiting = [name for name in found if "." not in name]
    yield Check("stages", "ok", f"repro runs {', '.join(waiting)}" if waiting else "all are up to date")


def _remote(own: Layout) -> Check:
    try:
        remote = default_remote(own.root)
    except RemoteError as error:
        return Check("remote", "broken", str(error))
    if remote is None:
        return Check("remote", "missing", "nothing is pushed anywhere: scripts/pipeline init --remote PLACE")
    found = _dvc_json(own, "status", "--cloud", "--json")
    if isinstance(found, str):
        return Check("remote", "broken", f"{remote.get('url')}: {found}")
    new = sum(state == "new" for state in found.values())
    return Check("remote", "ok", f"{remote.get('url')}, {f'{new} to be pushed' if new else 'all is pushed'}")


def _dvc_json(own: Layout, *words: str) -> Mapping[str, Any] | str:
    """What DVC says as JSON, or the line of its error."""
    try:
        environment = os.environ | remote_environment(own.root) | {"DVC_NO_ANALYTICS": "true"}
    except RemoteError as error:
        return str(error)
    command: list[str | Path] = [own.tool("dvc"), *words]
    try:
        done = subprocess.run(
            command, cwd=own.root, env=environment, capture_output=True, text=True, check=False, timeout=_SECONDS
        )
    except subprocess.TimeoutExpired:
        return f"dvc {words[0]} took more than {_SECONDS} s"
    if done.returncode:
        lines = [line for line in done.stderr.splitlines() if line.startswith("ERROR:")]
        return lines[0].removeprefix("ERROR: ") if lines else f"dvc {words[0]} ended with {done.returncode}"
    found: Mapping[str, Any] = json.loads(done.stdout or "{}")
    return found
