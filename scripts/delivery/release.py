"""A release: the other colour comes up, is tested, and the Service switches to it; or back."""

from __future__ import annotations

import inspect
import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from compose.errors import CONFIG, FAILED, ComposeError
from console import print_status
from delivery import golden_probe
from delivery.cluster_secrets import deploy_key, ensure_secrets
from delivery.colours import BLUE, COLOUR, MIN_REPLICAS, other, recoloured, shared, template_digest
from delivery.imports import import_file
from delivery.kubectl import Kubectl, Manifest

CHECK_FAILED = 8
"""Exit code: a check said no."""
TESTED, PREVIOUS = "handful/tested", "handful/previous-colour"
"""Annotations: of a Deployment, which of its templates was tested; of the Service, what it chose before."""
_SECONDS = 900
_POLL = 2.0


class Release:
    """The two colours in a cluster.

    Args:
        kubectl: the cluster.
        seconds: how long pods may take to become ready.
    """

    def __init__(self, kubectl: Kubectl, seconds: int = _SECONDS) -> None:
        self._kubectl = kubectl
        self._seconds = seconds

    def live(self) -> str | None:
        """The colour that answers; None before the first delivery."""
        service = self._kubectl.find("service", "serving")
        if service is None:
            return None
        colour = str(service["spec"]["selector"].get(COLOUR, BLUE))
        return colour if self.deployment(colour) else None

    def deployment(self, colour: str) -> Manifest | None:
        """The Deployment of a colour."""
        return self._kubectl.find("deployment", f"serving-{colour}")

    def deploy(self, manifests: Sequence[Manifest], starters: Sequence[Path] = ()) -> str:
        """Bring up what both colours share, then the colour that does not answer.

        Args:
            manifests: the rendered overlay.
            starters: backups that a new installation begins with.

        Returns:
            The colour that came up. On a first delivery it answers from then on.

        Raises:
            ComposeError: something is refused, or does not become ready. What answered before answers on.
        """
        live = self.live()
        colour = other(live) if live else BLUE
        self._kubectl.apply([each for each in manifests if each["kind"] == "Namespace"])
        ensure_secrets(self._kubectl, has_stores=any(each["kind"] == "StatefulSet" for each in manifests))
        print_status("what both colours share")
        common = shared(manifests, live or colour)
        self._kubectl.apply(common)
        for each in common:
            if each["kind"] in {"StatefulSet", "Deployment"}:
                self._kubectl.wait_for_rollout(f"{each['kind'].lower()}/{each['metadata']['name']}", self._seconds)
        for starter in starters if live is None else ():
            import_file(self._kubectl, starter, ["--as-starter", "--way", "portable"])
        print_status(f"{colour} comes up{f', {live} answers' if live else ''}")
        self._kubectl.apply(recoloured(manifests, colour, self._replicas(live)))
        self._await_ready(colour)
        return colour

    def test(self, colour: str, requests: int, key: str = "") -> dict[str, Any]:
        """Ask a colour its golden images, and then many times more; remember that its pods were right.

        Raises:
            ComposeError: an answer fails or is wrong.
        """
        deployment = self.deployment(colour)
        pods = self._kubectl.list("pods", name="serving", colour=colour) if deployment else ()
        ready = [pod["metadata"]["name"] for pod in pods if _is_ready(pod)]
        if deployment is None or not ready:
            raise ComposeError(f"{colour} has no pod that is ready: scripts/deploy status shows it", FAILED)
        words = [f"http://serving-{colour}:8000", key or deploy_key(self._kubectl), requests]
        source = f"{inspect.getsource(golden_probe)}\nprint(json.dumps(ask_all(*json.loads({json.dumps(words)!r}))))\n"
        report: dict[str, Any] = json.loads(self._kubectl.run_python(ready[0], source))
        if problem := _problem(report):
            raise ComposeError(f"{colour} does not pass ({problem}): what answers is as before", CHECK_FAILED)
        tested = {"metadata": {"annotations": {TESTED: template_digest(deployment)}}}
        self._kubectl.patch("deployment", f"serving-{colour}", tested)
        return report

    def switch(self, *, untested: bool = False) -> str:
        """Let the other colour answer.

        Args:
            untested: also if it was not tested as it is.

        Returns:
            The colour that answers now.

        Raises:
            ComposeError: there is no other, it was not tested, or does not become ready.
        """
        live, colour = self._colours()
        deployment = self.deployment(colour)
        if deployment is None:
            raise ComposeError(f"there is no {colour} yet: scripts/deploy deploy brings it up", CONFIG)
        annotations = deployment["metadata"].get("annotations", {})
        if not untested and annotations.get(TESTED) != template_digest(deployment):
            raise ComposeError(f"{colour} was not tested as it is now: run scripts/deploy test", CHECK_FAILED)
        self._choose(colour, live)
        return colour

    def rollback(self) -> str:
        """Let the colour answer again that did before the last switch.

        Returns:
            That colour.

        Raises:
            ComposeError: there was no switch since the last rollback, or it does not become ready.
        """
        live, colour = self._colours()
        service = self._kubectl.find("service", "serving") or {}
        if service["metadata"].get("annotations", {}).get(PREVIOUS) != colour:
            raise ComposeError(
                "there was no switch since the last rollback: scripts/deploy switch chooses a colour", CONFIG
            )
        self._choose(colour, live, back=True)
        return colour

    def _colours(self) -> tuple[str, str]:
        live = self.live()
        if live is None:
            raise ComposeError("nothing is delivered yet: run scripts/deploy deploy", CONFIG)
        return live, other(live)

    def _choose(self, colour: str, live: str, *, back: bool = False) -> None:
        """As many replicas as answer now, then the Service, then the autoscaler as it should be."""
        autoscaler = self._kubectl.find("horizontalpodautoscaler", f"serving-{colour}")
        if autoscaler is None:
            raise ComposeError(f"{colour} has no autoscaler: run scripts/deploy deploy", CONFIG)
        spec, annotations = autoscaler["spec"], autoscaler["metadata"].get("annotations", {})
        own = int(annotations.get(MIN_REPLICAS, spec["minReplicas"]))
        self._set_least(colour, min(max(own, self._replicas(live)), spec["maxReplicas"]))
        try:
            self._await_ready(colour)
        except ComposeError:
            self._set_least(colour, own)
            raise
        previous = {PREVIOUS: None if back else live}
        change = {"metadata": {"annotations": previous}, "spec": {"selector": {COLOUR: colour}}}
        self._kubectl.patch("service", "serving", change)
        self._set_least(colour, own)
        print_status(f"{colour} answers; {live} stays, for scripts/deploy {'switch' if back else 'rollback'}")

    def _set_least(self, colour: str, replicas: int) -> None:
        self._kubectl.patch("horizontalpodautoscaler", f"serving-{colour}", {"spec": {"minReplicas": replicas}})

    def _replicas(self, colour: str | None) -> int:
        deployment = self.deployment(colour) if colour else None
        return int((deployment or {}).get("spec", {}).get("replicas", 0))

    def _await_ready(self, colour: str) -> None:
        """Wait until all pods are new, and as many are ready as the autoscaler wants at least."""
        name = f"serving-{colour}"
        self._kubectl.wait_for_rollout(f"deployment/{name}", self._seconds)
        until = time.monotonic() + self._seconds
        while True:
            autoscaler = self._kubectl.find("horizontalpodautoscaler", name) or {"spec": {}}
            least = autoscaler["spec"].get("minReplicas", 1)
            status = (self.deployment(colour) or {}).get("status", {})
            if status.get("readyReplicas", 0) >= least:
                return
            if time.monotonic() > until:
                raise ComposeError(
                    f"{colour} has {status.get('readyReplicas', 0)} of {least} replicas ready after {self._seconds} s: "
                    f"see `kubectl -n {self._kubectl.namespace} describe deployment/{name}`",
                    FAILED,
                )
            time.sleep(_POLL)


def _is_ready(pod: Manifest) -> bool:
    conditions = pod.get("status", {}).get("conditions", ())
    ends = "deletionTimestamp" in pod["metadata"]
    return not ends and any(each["type"] == "Ready" and each["status"] == "True" for each in conditions)


def _problem(report: dict[str, Any]) -> str:
    """Why a colour does not pass; empty if it does."""
    if not report["models"]:
        return "no model that it serves has a golden image"
    wrong = [f"{name}: {answer}" for name, answer in report["models"].items() if answer != "right"]
    if wrong and "HTTP 401" not in wrong[0]:
        return wrong[0]
    if report["failed"] or report["wrong"]:
        if any(error.startswith("HTTP 401") for error in report["errors"]):
            return "it asks for an API key that is not known here: name one with --key-file"
        words = f"{report['failed']} of {report['requests']} requests failed, {report['wrong']} were answered wrongly"
        return f"{words}; {'; '.join(report['errors'])}"
    return ""
