"""deploy status: what answers, and what stands by."""

from __future__ import annotations

from typing import Any

from delivery.colours import BLUE, GREEN, template_digest
from delivery.kubectl import Kubectl, Manifest
from delivery.release import TESTED, Release


def status(kubectl: Kubectl) -> dict[str, Any]:
    """What there is, for people and programs: `live`, `colours` and `shared`."""
    release = Release(kubectl)
    colours = {colour: _colour(kubectl, found) for colour in (BLUE, GREEN) if (found := release.deployment(colour))}
    others = [*kubectl.list("deployments"), *kubectl.list("statefulsets")]
    return {
        "live": release.live(),
        "colours": colours,
        "shared": {
            each["metadata"]["name"]: _ready(each)
            for each in others
            if each["metadata"].get("labels", {}).get("app.kubernetes.io/part-of") == "handful"
            and not each["metadata"]["name"].startswith("serving-")
        },
    }


def _colour(kubectl: Kubectl, deployment: Manifest) -> dict[str, Any]:
    autoscaler = kubectl.find("horizontalpodautoscaler", deployment["metadata"]["name"]) or {"spec": {}, "status": {}}
    annotations = deployment["metadata"].get("annotations", {})
    metrics = autoscaler.get("status", {}).get("currentMetrics") or [{}]
    return {
        "image": deployment["spec"]["template"]["spec"]["containers"][0]["image"],
        "ready": _ready(deployment),
        "replicas": [autoscaler["spec"].get("minReplicas"), autoscaler["spec"].get("maxReplicas")],
        "cpu_percent": (metrics[0] or {}).get("resource", {}).get("current", {}).get("averageUtilization"),
        "tested": annotations.get(TESTED) == template_digest(deployment),
    }


def _ready(workload: Manifest) -> str:
    wanted = workload["spec"].get("replicas", 1)
    return f"{workload.get('status', {}).get('readyReplicas', 0)}/{wanted}"


def lines(found: dict[str, Any]) -> list[str]:
    """The same as a table."""
    if found["live"] is None:
        return ["nothing is delivered yet: run scripts/deploy deploy"]
    table = [f"{'':10}{'ready':8}{'min-max':9}{'cpu':6}{'tested':8}image"]
    for name, each in found["colours"].items():
        mark = "*" if name == found["live"] else " "
        cpu = "" if each["cpu_percent"] is None else f"{each['cpu_percent']} %"
        least, most = each["replicas"]
        tested = "yes" if each["tested"] else "no"
        table.append(f"{mark} {name:8}{each['ready']:8}{f'{least}-{most}':9}{cpu:6}{tested:8}{each['image']}")
    table += [f"  {name:18}{ready}" for name, ready in found["shared"].items()]
    return [*table, f"* answers: {found['live']}"]
