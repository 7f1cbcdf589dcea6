"""Blue and green: what the manifests have of blue, in either colour. Functions of objects alone."""

from __future__ import annotations

import copy
import hashlib
import json
from collections.abc import Iterable
from typing import Any

from delivery.kubectl import Manifest

BLUE, GREEN = "blue", "green"
COLOUR = "handful/colour"
"""The label."""
MIN_REPLICAS = "handful/min-replicas"
"""An annotation of the autoscaler: its least replicas by the manifests, whatever a switch has set meanwhile."""


def other(colour: str) -> str:
    """The other one."""
    return GREEN if colour == BLUE else BLUE


def is_coloured(manifest: Manifest) -> bool:
    """Whether there is one of it for each colour."""
    return COLOUR in manifest["metadata"].get("labels", {})


def recoloured(manifests: Iterable[Manifest], colour: str, least: int = 0) -> list[Manifest]:
    """The coloured ones of the manifests, in this colour.

    Args:
        manifests: as they are rendered: blue.
        colour: what they become.
        least: replicas that the autoscaler must not go below, as so many answer now.
    """
    found = [_in_colour(manifest, colour) for manifest in manifests if is_coloured(manifest)]
    for manifest in found:
        if manifest["kind"] == "HorizontalPodAutoscaler":
            own = manifest["spec"]["minReplicas"]
            manifest["metadata"].setdefault("annotations", {})[MIN_REPLICAS] = str(own)
            manifest["spec"]["minReplicas"] = min(max(own, least), manifest["spec"]["maxReplicas"])
    return found


def _in_colour(value: Any, colour: str) -> Any:
    """The same with the label of this colour, and names that end in it."""
    if isinstance(value, dict):
        return {key: colour if key == COLOUR else _in_colour(entry, colour) for key, entry in value.items()}
    if isinstance(value, list):
        return [_in_colour(entry, colour) for entry in value]
    if isinstance(value, str) and value == f"serving-{BLUE}":
        return f"serving-{colour}"
    return value


def shared(manifests: Iterable[Manifest], answering: str) -> list[Manifest]:
    """Those that there is one of. The Service `serving` goes on to choose the colour that answers."""
    found = [copy.deepcopy(manifest) for manifest in manifests if not is_coloured(manifest)]
    for manifest in found:
        if manifest["kind"] == "Service" and COLOUR in manifest["spec"].get("selector", {}):
            manifest["spec"]["selector"][COLOUR] = answering
    return found


def template_digest(deployment: Manifest) -> str:
    """What tells whether the pods of a Deployment have changed since they were tested."""
    return hashlib.sha256(json.dumps(deployment["spec"]["template"], sort_keys=True).encode()).hexdigest()[:16]
