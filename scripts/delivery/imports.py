"""A backup, or a starter model, from this machine into the cluster's MLflow."""

from __future__ import annotations

import copy
import json
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

from compose.errors import CONFIG, FAILED, ComposeError
from console import print_status
from delivery.kubectl import Kubectl, last_line

_START_SECONDS = 300


def import_file(kubectl: Kubectl, path: Path, words: Sequence[str] = ()) -> None:
    """Run `handful import` on a file, in a Job like the suspended CronJob `import`. The file goes by standard input.

    Args:
        kubectl: the cluster.
        path: the file.
        words: options of `handful import`.

    Raises:
        ComposeError: there is no such file, the Job does not start, or ends with an error.
    """
    if not path.is_file():
        raise ComposeError(f"there is no file {path}", CONFIG)
    form = kubectl.find("cronjob", "import")
    if form is None:
        raise ComposeError("nothing is delivered yet: run scripts/deploy deploy", CONFIG)
    name = f"import-{time.strftime('%Y%m%d-%H%M%S', time.gmtime())}"
    job = copy.deepcopy(form["spec"]["jobTemplate"])
    job["spec"]["template"]["spec"]["containers"][0]["args"] = list(words)
    job |= {"apiVersion": "batch/v1", "kind": "Job", "metadata": {**job.get("metadata", {}), "name": name}}
    print_status(f"importing {path.name}")
    kubectl.apply([job])
    pod = _running_pod(kubectl, name)
    _send(kubectl, pod, path)
    if not _is_complete(kubectl, name):
        said = last_line(kubectl.run("logs", pod).stdout)
        raise ComposeError(f"{path.name} was not imported ({said}): see `kubectl logs {pod}`", FAILED)


def _running_pod(kubectl: Kubectl, job: str) -> str:
    """The Job's pod, as soon as it waits for its input."""
    until = time.monotonic() + _START_SECONDS
    while time.monotonic() < until:
        text = kubectl.output("get", "pods", "--selector", f"job-name={job}", "--output", "json")
        for pod in json.loads(text)["items"]:
            if pod["status"].get("phase") in {"Running", "Failed"}:
                return str(pod["metadata"]["name"])
        time.sleep(1)
    raise ComposeError(f"the Job {job} does not start: see `kubectl describe job/{job}`", FAILED)


def _is_complete(kubectl: Kubectl, job: str) -> bool:
    """Wait until the Job has ended, and say whether it went well."""
    while found := kubectl.find("job", job):
        conditions = found.get("status", {}).get("conditions", ())
        ended = {each["type"] for each in conditions if each["status"] == "True"} & {"Complete", "Failed"}
        if ended:
            return "Complete" in ended
        time.sleep(1)
    return False  # Somebody has removed it.


def _send(kubectl: Kubectl, pod: str, path: Path) -> None:
    """Give a file to the pod's first process."""
    with path.open("rb") as file:
        done = subprocess.run(
            kubectl.command("attach", "--stdin", "--quiet", pod),
            stdin=file,
            capture_output=True,
            check=False,
            timeout=3600,
        )
    if done.returncode:
        said = last_line(done.stderr.decode(errors="replace"))
        raise ComposeError(f"{path.name} could not be sent to the cluster ({said})", FAILED)
