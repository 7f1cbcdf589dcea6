"""A cluster in memory: what is applied is there, and Deployments have the least number of pods of their autoscaler."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from compose.errors import FAILED, ComposeError
from delivery.kubectl import Kubectl, Manifest


@dataclass(eq=False)
class FakeKubectl(Kubectl):
    """kubectl as the tests want it; what it is asked to change is kept."""

    objects: dict[tuple[str, str], Manifest] = field(default_factory=dict)
    calls: list[str] = field(default_factory=list)
    report: dict[str, Any] = field(default_factory=dict)
    """What a colour answers when it is tested."""
    failing: str = ""
    """A rollout that does not become ready."""
    sources: list[str] = field(default_factory=list)

    namespace: str = "handful"

    def require(self) -> None:
        pass

    def find(self, kind: str, name: str) -> Manifest | None:
        return self.objects.get((kind, name))

    def list(self, kind: str, **labels: str) -> Sequence[Manifest]:
        if kind == "pods":
            deployment = self.find("deployment", f"{labels['name']}-{labels['colour']}")
            ready = deployment["status"]["readyReplicas"] if deployment else 0
            condition = {"conditions": [{"type": "Ready", "status": "True"}]}
            return [{"metadata": {"name": f"pod-{labels['colour']}-{n}"}, "status": condition} for n in range(ready)]
        return [each for (own, _), each in self.objects.items() if f"{own}s" == kind]

    def apply(self, objects: Iterable[Manifest], *, dry_run: bool = False) -> None:
        for each in objects:
            kind, name = each["kind"].lower(), each["metadata"]["name"]
            self.calls.append(f"apply {kind}/{name}")
            before = self.objects.get((kind, name), {})
            kept = before.get("metadata", {}).get("annotations", {}) | each["metadata"].get("annotations", {})
            stored = json.loads(json.dumps(each))
            stored["metadata"]["annotations"] = kept
            if kind == "deployment":
                stored["spec"].setdefault("replicas", before.get("spec", {}).get("replicas", 1))
            self.objects[kind, name] = stored
        self._scale()

    def create(self, objects: Iterable[Manifest]) -> None:
        for each in objects:
            kind, name = each["kind"].lower(), each["metadata"]["name"]
            self.calls.append(f"create {kind}/{name}")
            assert (kind, name) not in self.objects
            self.objects[kind, name] = json.loads(json.dumps(each))

    def patch(self, kind: str, name: str, change: Manifest) -> None:
        self.calls.append(f"patch {kind}/{name} {json.dumps(change, sort_keys=True)}")
        _merge(self.objects[kind, name], change)
        self._scale()

    def wait_for_rollout(self, what: str, seconds: int) -> None:
        self.calls.append(f"wait {what}")
        if what == self.failing:
            raise ComposeError(f"{what} is not ready", FAILED)

    def run_python(self, pod: str, source: str, seconds: float = 600) -> str:
        self.calls.append(f"ask {pod}")
        self.sources.append(source)
        return json.dumps(self.report)

    def run(self, *argv: str, text: str | None = None, seconds: float = 120) -> subprocess.CompletedProcess[str]:
        raise AssertionError(f"nothing of this runs kubectl {argv}")

    def _scale(self) -> None:
        for (kind, name), each in self.objects.items():
            if kind == "deployment":
                autoscaler = self.objects.get(("horizontalpodautoscaler", name))
                least = autoscaler["spec"]["minReplicas"] if autoscaler else 1
                each["spec"]["replicas"] = max(each["spec"]["replicas"], least)
                each["status"] = {"readyReplicas": each["spec"]["replicas"]}


def _merge(target: Manifest, change: Manifest) -> None:
    """As a JSON merge patch (RFC 7396)."""
    for key, value in change.items():
        if value is None:
            target.pop(key, None)
        elif isinstance(value, dict):
            _merge(target.setdefault(key, {}), value)
        else:
            target[key] = value
