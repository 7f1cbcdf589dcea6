"""What no schema says: what every pod here has, and what none may."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from support.manifests import FOLDER, OVERLAYS, ROOT, containers, of_kind, pods, rendered

_JOBS = ("pipeline", "train", "train-distributed", "tune")
"""Of the component training."""
_SECRETS = {
    "database-secret": {"mlflow", "postgres", "export", "import"},
    "objects-secret": {"mlflow", "minio"},
    "mlflow-login": {"mlflow", "serving-blue", "export", "import", "monitor", *_JOBS},
    "sweeps-secret": {"sweeps", "tune"},
    "pipeline-remote": {"pipeline"},
    "serving-keys": {"serving-blue"},
    "metrics-secret": {"serving-blue", "prometheus"},
    "grafana-secret": {"grafana"},
    "alerting-secret": {"alertmanager"},
}
"""Who mounts a Secret: those who mount the volume of that name in Compose, and no other."""
_PROBES = ("startupProbe", "readinessProbe", "livenessProbe")
_USERS = {"dashboard": 101, "postgres": 70, "sweeps": 70, "prometheus": 65534, "alertmanager": 65534, "grafana": 472}

every_overlay = pytest.mark.parametrize("overlay", OVERLAYS)


def _servers(overlay: str) -> dict[str, Any]:
    return of_kind(overlay, "Deployment") | of_kind(overlay, "StatefulSet")


@every_overlay
def test_pod_security_is_restricted(overlay: str) -> None:
    labels = of_kind(overlay, "Namespace")["handful"]["metadata"]["labels"]
    assert labels["pod-security.kubernetes.io/enforce"] == "restricted"
    for name, template in pods(overlay):
        spec = template["spec"]
        user = spec["securityContext"]["runAsUser"]
        assert user == _USERS.get(name, user)
        assert user > 0
        assert spec["securityContext"]["runAsNonRoot"] is True
        assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        assert not {"hostNetwork", "hostPID", "hostIPC"} & set(spec), name
        for container in containers(template):
            own = container["securityContext"]
            assert own["allowPrivilegeEscalation"] is False
            assert own["readOnlyRootFilesystem"] is True
            assert own["capabilities"] == {"drop": ["ALL"]}


@every_overlay
def test_no_pod_gets_what_it_has_no_use_for(overlay: str) -> None:
    for name, template in pods(overlay):
        assert template["spec"]["automountServiceAccountToken"] is False, name
        # POSTGRES_PORT=tcp://10.… of the Service postgres would be taken for the setting of that name.
        assert template["spec"]["enableServiceLinks"] is False, name


@every_overlay
def test_each_container_says_what_it_takes(overlay: str) -> None:
    for name, template in pods(overlay):
        for container in containers(template):
            resources = container["resources"]
            assert {"cpu", "memory"} <= set(resources["requests"]), name
            assert "memory" in resources["limits"], name
        for volume in template["spec"].get("volumes", ()):
            if "emptyDir" in volume:
                assert volume["emptyDir"].get("sizeLimit"), f"{name}: {volume['name']} could fill a node's disk"


@every_overlay
def test_probes_ask_three_different_things(overlay: str) -> None:
    for name, server in _servers(overlay).items():
        for container in server["spec"]["template"]["spec"]["containers"]:
            probes = {kind: container[kind] for kind in _PROBES}
            assert len({json.dumps(probe, sort_keys=True) for probe in probes.values()}) == 3, name
            seconds = {kind: _seconds(probe) for kind, probe in probes.items()}
            assert seconds["startupProbe"] >= 60, name
            assert seconds["livenessProbe"] >= 60, f"{name} would be ended while it is only busy"
            assert seconds["readinessProbe"] < seconds["livenessProbe"], name


def _seconds(probe: dict[str, Any]) -> int:
    """How long it must fail until anything follows."""
    return int(probe.get("periodSeconds", 10) * probe.get("failureThreshold", 3))


@every_overlay
def test_a_pod_without_a_model_is_asked_nothing_and_lives(overlay: str) -> None:
    (container,) = of_kind(overlay, "Deployment")["serving-blue"]["spec"]["template"]["spec"]["containers"]
    paths = {kind: container[kind]["httpGet"]["path"] for kind in _PROBES}
    assert paths == dict(zip(_PROBES, ("/health/live", "/health/ready", "/health/live"), strict=True))


@every_overlay
def test_serving_is_scaled_by_the_autoscaler_alone(overlay: str) -> None:
    serving = of_kind(overlay, "Deployment")["serving-blue"]
    assert "replicas" not in serving["spec"]
    spec = of_kind(overlay, "HorizontalPodAutoscaler")["serving-blue"]["spec"]
    assert spec["scaleTargetRef"]["name"] == serving["metadata"]["name"]
    assert (spec["minReplicas"], spec["maxReplicas"]) == (2, 10)
    assert spec["behavior"]["scaleDown"]["stabilizationWindowSeconds"] >= 300


@every_overlay
def test_an_update_or_a_drained_node_takes_no_replica_that_answers(overlay: str) -> None:
    for name in ("serving-blue", "dashboard"):
        spec = of_kind(overlay, "Deployment")[name]["spec"]
        assert spec["strategy"]["rollingUpdate"] == {"maxUnavailable": 0, "maxSurge": 1}
        budget = of_kind(overlay, "PodDisruptionBudget")[name]["spec"]
        assert budget["maxUnavailable"] == 1
        assert budget["selector"] == spec["selector"]
        template = spec["template"]
        for constraint in template["spec"]["topologySpreadConstraints"]:
            assert constraint["labelSelector"] == spec["selector"]
            assert constraint["whenUnsatisfiable"] == "ScheduleAnyway"


@every_overlay
def test_a_pod_that_ends_has_time_for_what_it_has_accepted(overlay: str) -> None:
    template = of_kind(overlay, "Deployment")["serving-blue"]["spec"]["template"]["spec"]
    (container,) = template["containers"]
    settings = next(each["data"] for name, each in of_kind(overlay, "ConfigMap").items() if name.startswith("serving-"))
    before = container["lifecycle"]["preStop"]["sleep"]["seconds"]
    drain = float(settings["HANDFUL_SERVING_DRAIN_SECONDS"])
    assert before >= 5
    assert drain > 0
    # SHUTDOWN_SECONDS is 30 by default, and the prediction log takes its rest to MLflow then.
    assert template["terminationGracePeriodSeconds"] >= before + drain + 30 + 10


@every_overlay
def test_no_secret_is_in_a_manifest_and_each_is_mounted_by_those_who_need_it(overlay: str) -> None:
    assert "Secret" not in {each["kind"] for each in rendered(overlay)}
    mounted: dict[str, set[str]] = {}
    for name, template in pods(overlay):
        for volume in template["spec"].get("volumes", ()):
            if "secret" in volume:
                assert volume["secret"]["defaultMode"] == 0o440, name
                mounted.setdefault(volume["secret"]["secretName"], set()).add(name)
    for secret, names in mounted.items():
        assert names <= _SECRETS[secret], secret
    for name, template in pods(overlay):
        for container in containers(template):
            words = json.dumps([container.get("env"), container.get("envFrom")])
            assert not re.search("secretKeyRef|secretRef", words), f"{name}: an environment is there for all to read"


@every_overlay
def test_selectors_meet_pods_of_their_own_and_no_others(overlay: str) -> None:
    labels = {name: template["metadata"]["labels"] for name, template in pods(overlay)}
    for name, service in of_kind(overlay, "Service").items():
        met = {pod for pod, own in labels.items() if service["spec"]["selector"].items() <= own.items()}
        assert len(met) == 1, name
        (pod,) = met
        ports = {port["name"] for each in containers(dict(pods(overlay))[pod]) for port in each.get("ports", ())}
        assert {port["targetPort"] for port in service["spec"]["ports"]} <= ports
    for name, policy in of_kind(overlay, "NetworkPolicy").items():
        selector = policy["spec"]["podSelector"].get("matchLabels", {})
        assert any(selector.items() <= own.items() for own in labels.values()), name


@every_overlay
def test_all_is_in_one_namespace_and_marked_as_ours(overlay: str) -> None:
    for each in rendered(overlay):
        meta = each["metadata"]
        assert meta.get("namespace", "handful") == "handful"
        assert meta["labels"]["app.kubernetes.io/part-of"] == "handful", each["kind"]


def test_images_are_named_in_one_place() -> None:
    named = re.compile(r"^\s*(newTag|newName|digest):|[{ ](newTag|newName|digest): ", re.MULTILINE)
    found = {path.parent.name for path in FOLDER.rglob("*.yaml") if named.search(path.read_text(encoding="utf-8"))}
    assert found == {"images"}
    for path in FOLDER.rglob("*.yaml"):
        for image in re.findall(r"^\s*(?:- )?image: (\S+)", path.read_text(encoding="utf-8"), re.MULTILINE):
            assert ":" not in image, f"{path.name} names a version of {image}"


@every_overlay
def test_each_image_has_a_version(overlay: str) -> None:
    for name, template in pods(overlay):
        for container in containers(template):
            assert re.search(r":(?!latest)[\w.-]+$|@sha256:[0-9a-f]{64}$", container["image"]), name
            assert container["imagePullPolicy"] == "IfNotPresent", name


def test_a_gpu_is_for_serving() -> None:
    limited = {
        name
        for name, template in pods("gpu")
        if any("nvidia.com/gpu" in each["resources"]["limits"] for each in containers(template))
    }
    assert limited == {"serving-blue"}


@pytest.mark.parametrize("name", _JOBS)
def test_a_training_begins_by_hand_and_once(name: str) -> None:
    spec = of_kind("training", "CronJob")[name]["spec"]
    assert spec["suspend"] is True
    assert spec["concurrencyPolicy"] == "Forbid"
    job = spec["jobTemplate"]["spec"]
    assert job["backoffLimit"] == (6 if name == "tune" else 0), "hours would be spent on the same error again"
    template = job["template"]["spec"]
    assert template["restartPolicy"] == "Never"
    (container,) = template["containers"]
    shared = {each["name"] for each in template["volumes"] if each.get("persistentVolumeClaim")}
    assert container["image"].startswith("handful/trainer:")
    # What several pods would write to at once is each pod's own: a volume may be for one node alone.
    writable = {each["name"] for each in container["volumeMounts"] if not each.get("readOnly")}
    assert not (writable & shared) or job.get("completions", 1) == 1


def test_the_pods_of_a_training_find_the_first_one() -> None:
    job = of_kind("training", "CronJob")["train-distributed"]["spec"]["jobTemplate"]["spec"]
    assert job["completionMode"] == "Indexed"
    assert job["completions"] == job["parallelism"] > 1
    template = job["template"]
    (container,) = template["spec"]["containers"]
    words = dict(word.removeprefix("--").split("=", 1) for word in container["args"] if word.startswith("--nnodes"))
    assert int(words["nnodes"]) == job["completions"]
    service = of_kind("training", "Service")[template["spec"]["subdomain"]]["spec"]
    assert service["clusterIP"] == "None"
    assert service["publishNotReadyAddresses"] is True, "they look for each other before they are ready"
    assert service["selector"].items() <= template["metadata"]["labels"].items()
    (port,) = service["ports"]
    assert f"--master-port={port['port']}" in container["args"]
    assert {each["containerPort"] for each in container["ports"]} == {port["port"]}
    named = {
        each["name"]: each["valueFrom"]["fieldRef"]["fieldPath"] for each in container["env"] if "valueFrom" in each
    }
    # As the Job's controller labels its pods, and calls their hosts: <job>-<index>.
    assert named == {
        "JOB": "metadata.labels['batch.kubernetes.io/job-name']",
        "POD_INDEX": "metadata.annotations['batch.kubernetes.io/job-completion-index']",
    }
    assert f"--master-addr=$(JOB)-0.{template['spec']['subdomain']}" in container["args"]
    assert "--node-rank=$(POD_INDEX)" in container["args"]


def test_torchrun_takes_the_words_of_the_job() -> None:
    from torch.distributed.run import get_args_parser

    job = of_kind("training", "CronJob")["train-distributed"]["spec"]["jobTemplate"]["spec"]
    (container,) = job["template"]["spec"]["containers"]
    assert container["command"] == ["torchrun"]
    found = get_args_parser().parse_args([word.replace("$(POD_INDEX)", "1") for word in container["args"]])
    assert (found.nnodes, found.node_rank, found.module, found.training_script) == ("2", 1, True, "handful_core")
    assert found.training_script_args == ["train", "--config=/work/configs/train.yaml"]


def test_the_pipeline_is_the_checkouts() -> None:
    folder = FOLDER / "components" / "training"
    for copy, original in {
        "dvc.yml": "dvc.yaml",
        "leaves.yml": "configs/leaves.yaml",
        "dvcignore": ".dvcignore",
    }.items():
        text = (ROOT / original).read_text(encoding="utf-8")
        assert (folder / copy).read_text(encoding="utf-8") == text, f"cp {original} {folder / copy}"
