"""deploy check: what a delivery needs, what is there, and what to do where it is not."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from compose.errors import CONFIG, ComposeError
from delivery.kubectl import Kubectl, Manifest, render

_VERBS = {
    "deployments.apps": "create",
    "services": "patch",
    "secrets": "create",
    "pods/exec": "create",
    "horizontalpodautoscalers.autoscaling": "create",
}
"""What deliveries do, by resource."""
_OLDEST = (1, 30)
"""The first whose preStop can sleep without a program."""


class Check(NamedTuple):
    """One thing that was looked at."""

    what: str
    state: str
    """ok, missing (fine unless you need it), or broken."""
    detail: str


def look(kubectl: Kubectl, overlay: Path) -> Iterator[Check]:
    """Look at everything, and change nothing. It ends where nothing more can be looked at."""
    try:
        kubectl.require()
        version = kubectl.version()
        manifests = render(overlay)
    except ComposeError as error:
        yield Check("cluster", "broken", str(error))
        return
    new = tuple(int(part) for part in version.lstrip("v").split(".")[:2]) >= _OLDEST
    yield Check("cluster", "ok" if new else "broken", version if new else f"{version} is too old: 1.30 is needed")
    yield Check("manifests", "ok", f"{overlay}, {len(manifests)} objects")
    yield from _rights(kubectl)
    yield _metrics(kubectl)
    yield from _storage(kubectl)
    yield from _settings(kubectl, manifests)
    yield _dry_run(kubectl, manifests)


def _rights(kubectl: Kubectl) -> Iterator[Check]:
    denied = [
        f"{verb} {resource}"
        for resource, verb in _VERBS.items()
        if kubectl.run("auth", "can-i", verb, resource).returncode
    ]
    yield Check(
        "rights", *(("broken", f"you may not {', '.join(denied)}: ask for them") if denied else ("ok", "enough"))
    )


def _metrics(kubectl: Kubectl) -> Check:
    """The autoscaler needs them; without, it keeps its least number of replicas."""
    done = kubectl.run("get", "--raw", "/apis/metrics.k8s.io/v1beta1")
    if done.returncode:
        return Check("metrics", "missing", "no metrics-server: serving stays at its least number of replicas")
    return Check("metrics", "ok", "metrics-server answers")


def _storage(kubectl: Kubectl) -> Iterator[Check]:
    """Claims that name no class need a default one."""
    classes = kubectl.list("storageclasses")
    default = "storageclass.kubernetes.io/is-default-class"
    names = [
        each["metadata"]["name"] for each in classes if each["metadata"].get("annotations", {}).get(default) == "true"
    ]
    if names:
        yield Check("storage", "ok", f"StorageClass {names[0]}")
    else:
        yield Check("storage", "broken", "no default StorageClass: mark one, or name one in your overlay")


def _settings(kubectl: Kubectl, manifests: Sequence[Manifest]) -> Iterator[Check]:
    try:
        validate(kubectl.namespace, manifests)
    except ComposeError as error:
        yield Check("settings", "broken", str(error))


def validate(namespace: str, manifests: Sequence[Manifest]) -> None:
    """Refuse what cannot go well.

    Args:
        namespace: where it is to be delivered.
        manifests: the rendered overlay.

    Raises:
        ComposeError: an address of the overlay `production` is still an example, or the namespace is another one.
    """
    maps = [each["data"] for each in manifests if each["kind"] == "ConfigMap"]
    names = sorted({name for data in maps for name, value in data.items() if "example.com" in value})
    if names:
        raise ComposeError(f"{', '.join(names)} names example.com: set yours in an overlay of your own", CONFIG)
    others = {each["metadata"].get("namespace", namespace) for each in manifests} - {namespace}
    if others:
        found = sorted(others)[0]
        raise ComposeError(f"the overlay's namespace is {found}: add --namespace {found}", CONFIG)


def _dry_run(kubectl: Kubectl, manifests: Sequence[Manifest]) -> Check:
    if kubectl.run("get", "namespace", kubectl.namespace).returncode:
        return Check("dry run", "missing", f"not before the namespace {kubectl.namespace} is there: deploy makes it")
    try:
        kubectl.apply(manifests, dry_run=True)
    except ComposeError as error:
        return Check("dry run", "broken", str(error))
    return Check("dry run", "ok", f"the API server takes all {len(manifests)}")
