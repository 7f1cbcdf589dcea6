"""The `kubectl` command, for one namespace of one cluster."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from compose.errors import CONFIG, FAILED, UNAVAILABLE, ComposeError

Manifest = dict[str, Any]
"""An object as Kubernetes' API has it."""
_SECONDS = 120
_NOT_INSTALLED = "kubectl is not installed: https://kubernetes.io/docs/tasks/tools tells how"


class Kubectl:
    """kubectl, as the user's own kubeconfig sets it up.

    Args:
        namespace: where Handful is.
        context: of the kubeconfig; the current one if empty.
    """

    def __init__(self, namespace: str, context: str = "") -> None:
        self.namespace = namespace
        self._options = [*(["--context", context] if context else []), "--namespace", namespace]

    def require(self) -> None:
        """Make sure that kubectl is installed and the cluster answers.

        Raises:
            ComposeError: it is not, or does not. The message says what to do.
        """
        if shutil.which("kubectl") is None:
            raise ComposeError(_NOT_INSTALLED, UNAVAILABLE)
        done = self.run("version", "--output", "json", "--request-timeout", "15s")
        if done.returncode:
            raise ComposeError(f"the cluster does not answer ({last_line(done.stderr)}): see KUBECONFIG", UNAVAILABLE)

    def context(self) -> str:
        """The context's name; the cluster's pods have none."""
        if "--context" in self._options:
            return self._options[self._options.index("--context") + 1]
        return self.run("config", "current-context").stdout.strip() or "the cluster of this pod"

    def version(self) -> str:
        """The cluster's version."""
        return str(json.loads(self.output("version", "--output", "json"))["serverVersion"]["gitVersion"])

    def command(self, *argv: str) -> list[str]:
        """The words of a call."""
        return ["kubectl", *self._options, *argv]

    def run(self, *argv: str, text: str | None = None, seconds: float = _SECONDS) -> subprocess.CompletedProcess[str]:
        """Run kubectl without showing its output.

        Args:
            argv: its arguments.
            text: its standard input.
            seconds: how long it may take.

        Raises:
            ComposeError: it cannot be run, or takes longer.
        """
        command = self.command(*argv)
        given: dict[str, Any] = {"stdin": subprocess.DEVNULL} if text is None else {"input": text}
        try:
            return subprocess.run(
                command, check=False, capture_output=True, text=True, encoding="utf-8", timeout=seconds, **given
            )
        except subprocess.TimeoutExpired as error:
            words = " ".join(argv[:2])
            raise ComposeError(f"kubectl {words} took longer than {seconds:.0f} s", UNAVAILABLE) from error
        except OSError as error:
            raise ComposeError(f"kubectl cannot be run ({error.strerror})", UNAVAILABLE) from error

    def output(self, *argv: str, text: str | None = None, seconds: float = _SECONDS) -> str:
        """What kubectl prints.

        Raises:
            ComposeError: it fails; the message has its last line.
        """
        done = self.run(*argv, text=text, seconds=seconds)
        if done.returncode:
            raise ComposeError(f"kubectl {' '.join(argv[:2])} failed ({last_line(done.stderr)})", FAILED)
        return done.stdout

    def find(self, kind: str, name: str) -> Manifest | None:
        """An object, None if there is none."""
        text = self.output("get", kind, name, "--ignore-not-found", "--output", "json")
        return json.loads(text) if text.strip() else None

    def list(self, kind: str, **labels: str) -> Sequence[Manifest]:
        """The objects of a kind that have these labels."""
        selector = ",".join(f"{_LABELS.get(name, name)}={value}" for name, value in labels.items())
        words = ["--selector", selector] if selector else []
        found: Sequence[Manifest] = json.loads(self.output("get", kind, *words, "--output", "json"))["items"]
        return found

    def apply(self, objects: Iterable[Manifest], *, dry_run: bool = False) -> None:
        """Make objects, or change them to what they should be.

        Args:
            objects: in this order.
            dry_run: only let the API server check them.

        Raises:
            ComposeError: the cluster refuses one; the message says which, and why.
        """
        self._send("apply", objects, ["--dry-run=server"] if dry_run else [])

    def create(self, objects: Iterable[Manifest]) -> None:
        """Make objects that there are not. `apply` would keep a copy in an annotation, which `describe` shows.

        Raises:
            ComposeError: there is one already, or the cluster refuses it.
        """
        self._send("create", objects)

    def _send(self, command: str, objects: Iterable[Manifest], options: Sequence[str] = ()) -> None:
        items = list(objects)
        if not items:  # kubectl calls that an error.
            return
        text = json.dumps({"apiVersion": "v1", "kind": "List", "items": items})
        done = self.run(command, *options, "--filename", "-", text=text, seconds=300)
        if done.returncode:
            raise ComposeError(f"the cluster refuses the manifests ({last_line(done.stderr)})", FAILED)

    def patch(self, kind: str, name: str, change: Manifest) -> None:
        """Change fields of an object.

        Raises:
            ComposeError: the cluster refuses it.
        """
        self.output("patch", kind, name, "--type", "merge", "--patch", json.dumps(change))

    def wait_for_rollout(self, what: str, seconds: int) -> None:
        """Wait until all pods of a Deployment or StatefulSet are of its newest kind, and ready.

        Raises:
            ComposeError: they are not in time.
        """
        done = self.run("rollout", "status", what, f"--timeout={seconds}s", seconds=seconds + 30)
        if done.returncode:
            said = last_line(done.stderr or done.stdout)
            raise ComposeError(f"{what} is not ready ({said}): see `kubectl -n {self.namespace} describe {what}`")

    def run_python(self, pod: str, source: str, seconds: float = 600) -> str:
        """Run Python in a pod and return what it prints. The source is its standard input: no list of processes has it.

        Raises:
            ComposeError: it ends with an error.
        """
        return self.output("exec", "--stdin", pod, "--", "python", "-", text=source, seconds=seconds)


_LABELS = {"name": "app.kubernetes.io/name", "colour": "handful/colour"}


def render(folder: Path) -> list[Manifest]:
    """The objects of a kustomization. It needs kubectl and no cluster.

    Raises:
        ComposeError: there is none, or it has a fault.
    """
    if shutil.which("kubectl") is None:
        raise ComposeError(_NOT_INSTALLED, UNAVAILABLE)
    built = subprocess.run(["kubectl", "kustomize", folder], capture_output=True, text=True, check=False)
    if built.returncode:
        raise ComposeError(f"{folder} cannot be built ({last_line(built.stderr)}): correct it", CONFIG)
    # kubectl has no command that only translates. Removing what nobody has changes nothing, and asks no cluster.
    command = ["kubectl", "annotate", "--local", "--filename", "-", "--output", "json", "handful/nothing-"]
    done = subprocess.run(command, input=built.stdout, capture_output=True, text=True, check=False)
    if done.returncode:
        raise ComposeError(f"{folder} cannot be read ({last_line(done.stderr)}): correct it", CONFIG)
    return list(_documents(done.stdout))


def _documents(text: str) -> Iterable[Manifest]:
    decoder, rest = json.JSONDecoder(), text.strip()
    while rest:
        found, end = decoder.raw_decode(rest)
        if not found["metadata"].get("annotations", True):
            del found["metadata"]["annotations"]
        yield found
        rest = rest[end:].lstrip()


def last_line(text: str) -> str:
    """The last line that says anything."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1] if lines else "it says nothing"
