"""A Kubernetes for tests alone, and Handful in it."""

from __future__ import annotations

import base64
import json
import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from support.mlflow_server import free_port

ROOT = Path(__file__).parents[2]
LAUNCHER = ROOT.parent / "shared" / "cluster" / "cluster"
"""Starts a cluster of one node on a machine that reaches no image registry."""
_VERSION = "cluster-test"
"""Of the images: those of another stack on this engine stay as they are."""
_IMAGES = tuple(f"handful/{name}:{_VERSION}" for name in ("serving", "mlflow", "dashboard", "backup"))
_PUBLIC = ("postgres:17-alpine", "pgsty/silo:RELEASE.2026-09-16T00-00-00Z")


@dataclass
class Cluster:
    """The cluster, by its kubeconfig."""

    kubeconfig: Path
    namespace: str = "handful"

    @property
    def environment(self) -> dict[str, str]:
        """For kubectl, and for what calls it."""
        return os.environ | {"KUBECONFIG": str(self.kubeconfig), "HANDFUL_VERSION": _VERSION}

    def run(self, *argv: str, text: str | None = None, seconds: float = 120) -> subprocess.CompletedProcess[str]:
        """`kubectl ARGUMENTS`, whatever comes of it."""
        command = ["kubectl", "--namespace", self.namespace, *argv]
        return subprocess.run(
            command, env=self.environment, input=text, capture_output=True, text=True, check=False, timeout=seconds
        )

    def kubectl(self, *argv: str, text: str | None = None, seconds: float = 120) -> str:
        """What `kubectl ARGUMENTS` prints; it must go well."""
        done = self.run(*argv, text=text, seconds=seconds)
        assert done.returncode == 0, f"kubectl {' '.join(argv)}: {done.stderr}"
        return done.stdout

    def get(self, *words: str) -> Any:
        """Objects, as the API server has them."""
        return json.loads(self.kubectl("get", *words, "--output", "json"))

    def deploy(self, *words: str, seconds: float = 1800) -> subprocess.CompletedProcess[str]:
        """`scripts/deploy.sh WORDS`."""
        command = [sys.executable, "-B", str(ROOT / "scripts" / "run.py"), "deploy.sh", *words]
        return subprocess.run(
            command, env=self.environment, capture_output=True, text=True, check=False, timeout=seconds
        )

    def address(self, service: str) -> str:
        """The address of a Service; the node is this machine."""
        spec = self.get("service", service)["spec"]
        return f"http://{spec['clusterIP']}:{spec['ports'][0]['port']}"

    def secret(self, name: str, key: str) -> str:
        """A value of a Secret."""
        return base64.b64decode(self.get("secret", name)["data"][key]).decode()

    def pods(self, colour: str) -> dict[str, Any]:
        """The pods of a colour that do not end, by name."""
        found = self.get("pods", "--selector", f"app.kubernetes.io/name=serving,handful/colour={colour}")["items"]
        return {each["metadata"]["name"]: each for each in found if "deletionTimestamp" not in each["metadata"]}

    def ready(self, colour: str) -> set[str]:
        """Names of those that are ready."""
        return {name for name, pod in self.pods(colour).items() if _is_ready(pod)}

    def live(self) -> str:
        """The colour that the Service chooses."""
        return str(self.get("service", "serving")["spec"]["selector"]["handful/colour"])

    @contextmanager
    def forwarded(self, target: str, port: int) -> Iterator[str]:
        """An address of this machine that leads to a port of a Service or a pod."""
        local = free_port()
        words = ["kubectl", "--namespace", self.namespace, "port-forward", target, f"{local}:{port}"]
        with subprocess.Popen(words, env=self.environment, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            try:
                assert "Forwarding" in process.stdout.readline()
                yield f"http://127.0.0.1:{local}"
            finally:
                process.terminate()

    def kill(self, pod: str) -> None:
        """End the pod's container as a crash, or a lack of memory, would."""
        found = self.pods(self.live())[pod]["status"]["containerStatuses"][0]["containerID"].rpartition("/")[2]
        socket = self.kubeconfig.parent / "containerd" / "containerd.sock"
        words = ["ctr", "-a", str(socket), "-n", "k8s.io", "tasks", "kill", "-s", "SIGKILL", found]
        subprocess.run(words, check=True, capture_output=True, timeout=60)


def start_cluster() -> Cluster:
    """The launcher's cluster, started if it does not run."""
    subprocess.run([LAUNCHER, "up"], check=True, timeout=5400, stdin=subprocess.DEVNULL)
    said = subprocess.run([LAUNCHER, "env"], check=True, capture_output=True, text=True).stdout
    _let_pods_through()
    found = re.search(r"KUBECONFIG=['\"]?([^'\"\s]+)", said)
    assert found, said
    return Cluster(Path(found[1]))


def _let_pods_through() -> None:
    """Docker's engine drops what is forwarded, also what pods send to Services. `cluster down` takes the rules away."""
    for way in ("--in-interface", "--out-interface"):
        rule = ["FORWARD", way, "cluster-br", "--jump", "ACCEPT"]
        if subprocess.run(["iptables", "--check", *rule], capture_output=True, check=False).returncode:
            subprocess.run(["iptables", "--insert", *rule], capture_output=True, check=True)


def load_images(cluster: Cluster) -> None:
    """Build the images, and bring them and the public ones into the cluster."""
    done = cluster.deploy("build", seconds=3600)
    assert done.returncode == 0, done.stderr
    subprocess.run([LAUNCHER, "load", *_IMAGES, *_PUBLIC], check=True, timeout=1800)


def small_overlay(folder: Path, image: str = "") -> Path:
    """An overlay of one's own: `single` on a machine of two processors, with at most four replicas.

    Args:
        folder: to write it to.
        image: an annotation that makes the pods of serving others than before.
    """
    folder.mkdir(parents=True, exist_ok=True)
    base = os.path.relpath(ROOT / "deploy" / "kubernetes" / "overlays" / "single", folder)
    cpu = [("Deployment", "serving-blue", "200m"), ("Deployment", "mlflow", "50m"), ("StatefulSet", "postgres", "50m"),
           ("StatefulSet", "minio", "50m"), ("Deployment", "dashboard", "10m")]  # fmt: skip
    replace = '[{{"op": "replace", "path": "/spec/template/spec/containers/0/resources/requests/cpu", "value": "{}"}}]'
    patches = [{"target": {"kind": kind, "name": name}, "patch": replace.format(value)} for kind, name, value in cpu]
    patches += [
        {
            "target": {"kind": "HorizontalPodAutoscaler", "name": "serving-blue"},
            "patch": json.dumps(
                [
                    {"op": "replace", "path": "/spec/maxReplicas", "value": 4},
                    {"op": "replace", "path": "/spec/behavior/scaleDown/stabilizationWindowSeconds", "value": 20},
                    {"op": "replace", "path": "/spec/behavior/scaleDown/policies/0/periodSeconds", "value": 15},
                ]
            ),
        },
        {
            "target": {"kind": "Deployment", "name": "serving-blue"},
            "patch": json.dumps(
                [{"op": "add", "path": "/spec/template/metadata/annotations", "value": {"test/build": image or "1"}}]
            ),
        },
    ]
    settings = {
        "name": "serving",
        "behavior": "merge",
        "literals": [
            "HANDFUL_SERVING_PREDICTION_LOG_SEGMENT_SECONDS=5",
            "HANDFUL_SERVING_QUEUE_SIZE=64",
            # Others work on this machine, too: late is no failure here.
            "HANDFUL_SERVING_DEADLINE_SECONDS=60",
        ],
    }
    # JSON is YAML.
    kustomization = {
        "apiVersion": "kustomize.config.k8s.io/v1beta1",
        "kind": "Kustomization",
        "namespace": "handful",
        "resources": [base],
        "patches": patches,
        "configMapGenerator": [settings],
    }
    (folder / "kustomization.yaml").write_text(json.dumps(kustomization, indent=2))
    return folder


@contextmanager
def writable_volumes(cluster: Cluster) -> Iterator[None]:
    """Host paths are root's, and know no fsGroup as other volumes do: the users of the pods get them meanwhile."""
    ended = threading.Event()

    def open_them() -> None:
        while not ended.wait(2):
            found = json.loads(cluster.run("get", "persistentvolumes", "--output", "json").stdout or '{"items": []}')
            for path in (
                Path(each["spec"]["hostPath"]["path"]) for each in found["items"] if "hostPath" in each["spec"]
            ):
                if path.is_dir() and path.stat().st_mode & 0o777 != 0o777:
                    path.chmod(0o777)

    thread = threading.Thread(target=open_them)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def _is_ready(pod: Any) -> bool:
    return any(each["type"] == "Ready" and each["status"] == "True" for each in pod["status"].get("conditions", ()))
