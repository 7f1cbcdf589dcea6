"""Compose and Kubernetes run the same images, settings, ports, commands and networks. What differs is named."""

from __future__ import annotations

import re
from typing import Any

import pytest
import yaml

from support.manifests import FOLDER, ROOT, containers, environment, of_kind, pods

_SAME = {
    "postgres": ("postgres", "postgres"),
    "minio": ("minio", "minio"),
    "minio-init": ("mlflow", "bucket"),
    "mlflow-migrate": ("mlflow", "migrate"),
    "mlflow": ("mlflow", "mlflow"),
    "serving": ("serving-blue", "serving"),
    "dashboard": ("dashboard", "dashboard"),
    "backup": ("export", "backup"),
    "monitor": ("monitor", "monitor"),
    "prometheus": ("prometheus", "prometheus"),
    "alertmanager": ("alertmanager", "alertmanager"),
    "grafana": ("grafana", "grafana"),
}
"""Compose's service, and its pod and container."""
_NOT_HERE = {
    "preflight": "Secrets are made by scripts/deploy; volumes get their owner by fsGroup",
    "starter": "scripts/deploy imports the starter models",
    "trainer": "trainings are Jobs, of the component training: below",
}
_OTHER_SETTINGS = {
    # Compose names where its port is published, to tell whether others reach it. In a cluster they do.
    "serving": {"HANDFUL_SERVING_PUBLISHED_AT", "HANDFUL_SERVING_KEYS_FILE", "HANDFUL_SERVING_DRAIN_SECONDS"},
    # Where the names of Services come from.
    "dashboard": {"HANDFUL_UPSTREAM", "HANDFUL_RESOLVER", "POD_NAMESPACE"},
    # The defaults of both, which production sets.
    "mlflow": {"POSTGRES_HOST", "POSTGRES_PORT"},
    "mlflow-migrate": {"POSTGRES_HOST", "POSTGRES_PORT"},
    "postgres": {"POSTGRES_HOST", "POSTGRES_PORT", "PGDATA"},
    # Your overlay brings an alertmanager.yml of its own.
    "alertmanager": {
        "ALERT_WEBHOOK_GIVEN",
        "ALERT_EMAIL_TO",
        "ALERT_EMAIL_FROM",
        "ALERT_SMTP_SERVER",
        "ALERT_SMTP_USER",
        "ALERT_SMTP_PASSWORD_GIVEN",
    },
    # A nightly export is not locked unless you add the Secret: docs/kubernetes.md.
    "backup": {"POSTGRES_HOST", "POSTGRES_PORT", "HANDFUL_BACKUP_PASSPHRASE_FILE"},
}
_NETWORKS_OF_THE_POD = {"minio-init": {"data", "edge"}, "mlflow-migrate": {"data", "edge"}}
"""They run in MLflow's pod, before it."""
_SECRETS = {"database-secret", "objects-secret", "mlflow-login", "metrics-secret", "grafana-secret"}
_VARIABLE = re.compile(r"\$\{([A-Z0-9_]+)(?::?[-+]((?:[^{}]|\{[^{}]*\}|\$\{[^{}]*\})*))?\}")


def _interpolated(text: str) -> str:
    """As Compose does it where no variable is set."""
    while found := _VARIABLE.search(text):
        default = "" if f"{found[1]}:+" in found[0] else found[2] or ""
        text = text.replace(found[0], default)
    return text.replace("$$", "$")


@pytest.fixture(scope="module")
def compose() -> Any:
    text = (ROOT / "docker-compose.yml").read_text(encoding="utf-8")
    return yaml.safe_load(text)["services"]


def _container(service: str) -> Any:
    pod, name = _SAME[service]
    return next(each for each in containers(dict(pods("monitoring"))[pod]) if each["name"] == name)


def test_each_service_is_there_or_has_a_reason(compose: Any) -> None:
    assert set(_SAME) | set(_NOT_HERE) == set(compose)
    there = {name for name, _ in pods("monitoring")}
    assert there - {pod for pod, _ in _SAME.values()} == {"import"}


@pytest.mark.parametrize("service", _SAME)
def test_settings_are_the_same(compose: Any, service: str) -> None:
    wanted = {name: _interpolated(str(value)) for name, value in compose[service].get("environment", {}).items()}
    found = environment("monitoring", _container(service))
    differing = {name for name in {*wanted, *found} if wanted.get(name, "absent") != found.get(name, "absent")}
    assert differing == _OTHER_SETTINGS.get(service, set())


@pytest.mark.parametrize("service", _SAME)
def test_images_are_the_same(compose: Any, service: str) -> None:
    wanted = _interpolated(compose[service]["image"])
    assert _container(service)["image"] in {wanted, f"docker.io/{wanted}", f"docker.io/library/{wanted}"}


@pytest.mark.parametrize("service", _SAME)
def test_commands_are_the_same(compose: Any, service: str) -> None:
    container = _container(service)
    entrypoint = [_interpolated(word) for word in compose[service].get("entrypoint", [])]
    assert container.get("command", []) == entrypoint
    if service == "backup":  # In Compose you say what it does.
        assert container["args"][0] == "export"
    else:
        default = ["serve"] if service in {"mlflow", "serving"} else []  # The image's own.
        assert container.get("args", default) == [
            _interpolated(word) for word in compose[service].get("command", default)
        ]


@pytest.mark.parametrize("service", _SAME)
def test_networks_are_the_same(compose: Any, service: str) -> None:
    labels = dict(pods("monitoring"))[_SAME[service][0]]["metadata"]["labels"]
    found = {name for name in ("data", "edge") if labels.get(f"handful/{name}") == "true"}
    assert found == _NETWORKS_OF_THE_POD.get(service, set(compose[service]["networks"]))


@pytest.mark.parametrize("service", _SAME)
def test_memory_is_the_same(compose: Any, service: str) -> None:
    limits = {"1g": "1Gi", "2g": "2Gi", "128m": "128Mi", "512m": "512Mi"}
    assert _container(service)["resources"]["limits"]["memory"] == limits[_interpolated(str(_memory(compose, service)))]


def _memory(compose: Any, service: str) -> str:
    return str(compose[service]["mem_limit"])


@pytest.mark.parametrize("service", _SAME)
def test_secrets_are_at_the_same_places(compose: Any, service: str) -> None:
    volumes = [each for each in compose[service].get("volumes", ()) if isinstance(each, dict)]
    wanted = {(each["source"], each["target"]) for each in volumes if each["source"] in _SECRETS}
    mounts = {
        (each["name"], each["mountPath"]) for each in _container(service)["volumeMounts"] if each["name"] in _SECRETS
    }
    assert mounts == wanted


def test_ports_are_the_same(compose: Any) -> None:
    published = {name: each["ports"][0].rpartition(":")[2] for name, each in compose.items() if "ports" in each}
    services = of_kind("monitoring", "Service")
    for name, port in published.items():
        assert str(services[name]["spec"]["ports"][0]["port"]) == port
    lets_in = {
        each["spec"]["podSelector"]["matchLabels"]["app.kubernetes.io/name"]
        for name, each in of_kind("monitoring", "NetworkPolicy").items()
        if name.startswith("published-")
    }
    # For few, and most ask for no password: `kubectl port-forward` leads there.
    assert lets_in == set(published) - {"mlflow", "prometheus", "alertmanager", "grafana"}


def test_ports_that_addresses_name_are_those_of_services() -> None:
    services = of_kind("monitoring", "Service")
    for _, template in pods("monitoring"):
        for container in containers(template):
            for value in environment("monitoring", container).values():
                for host, port in re.findall(r"http://([a-z-]+):(\d+)", value):
                    if host != "localhost":
                        assert services[host]["spec"]["ports"][0]["port"] == int(port)


def test_data_has_no_way_out_and_edge_has() -> None:
    policies = of_kind("monitoring", "NetworkPolicy")
    assert policies["nothing"]["spec"] == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}
    for name in ("edge", "data"):
        spec = policies[name]["spec"]
        own = {"podSelector": {"matchLabels": {f"handful/{name}": "true"}}}
        assert spec["podSelector"] == own["podSelector"]
        assert spec["ingress"] == [{"from": [own]}]
        assert spec["egress"] == ([{}] if name == "edge" else [{"to": [own]}])


def test_prometheus_asks_the_same_in_the_same_way() -> None:
    own = yaml.safe_load((FOLDER / "components" / "monitoring" / "prometheus.yml").read_text(encoding="utf-8"))
    theirs = yaml.safe_load(
        (ROOT / "configs" / "monitoring" / "prometheus" / "prometheus.yml").read_text(encoding="utf-8")
    )
    (found,), (wanted,) = (
        [job for job in each["scrape_configs"] if job["job_name"] == "serving"] for each in (own, theirs)
    )
    assert found.pop("dns_sd_configs")[0]["names"] == ["serving-replicas"]
    assert wanted.pop("static_configs") == [{"targets": ["serving:8000"]}]
    assert own == theirs
    selector = of_kind("monitoring", "Service")["serving-replicas"]["spec"]
    assert selector["clusterIP"] == "None", "its name stands for all replicas"


def test_every_file_of_monitoring_is_in_a_configmap() -> None:
    folder = ROOT / "configs" / "monitoring"
    files = {path.read_text(encoding="utf-8") for path in folder.rglob("*.*") if path.name != "kustomization.yaml"}
    maps = {text for each in of_kind("monitoring", "ConfigMap").values() for text in each["data"].values()}
    compose_only = {(folder / "prometheus" / "prometheus.yml").read_text(encoding="utf-8")}
    assert files - maps == compose_only


def test_a_training_is_as_composes(compose: Any) -> None:
    wanted = compose["trainer"]
    for name in ("train", "train-distributed", "tune", "pipeline"):
        template = dict(pods("training"))[name]
        (container,) = containers(template)
        assert container["image"] == _interpolated(wanted["image"])
        settings = {key: _interpolated(str(value)) for key, value in wanted["environment"].items()}
        own = environment("training", container)
        # Picsellia's are settings of your own overlay.
        assert settings.keys() - own.keys() == {"PICSELLIA_ORGANISATION", "PICSELLIA_HOST"}
        assert all(own[key] == value for key, value in settings.items() if key in own)
        assert container["resources"]["limits"]["memory"] == "8Gi"
        assert _interpolated(wanted["mem_limit"]) == "8g"
        labels = template["metadata"]["labels"]
        assert [each for each in ("data", "edge") if f"handful/{each}" in labels] == wanted["networks"]
        mounts = {each["mountPath"]: each for each in container["volumeMounts"]}
        own_folders = {"pipeline-data", "files"} if name == "pipeline" else {"trainer-data", "configs"}
        assert own_folders | {"images", "mlflow-login", "shm"} <= {each["name"] for each in mounts.values()}
        images = next(each for each in mounts.values() if each["name"] == "images")
        assert images["readOnly"] is True
        assert images["mountPath"] == ("/work/pipeline/data" if name == "pipeline" else "/work/data")


def test_the_workers_of_a_search_share_its_trials() -> None:
    spec = of_kind("training", "CronJob")["tune"]["spec"]
    assert spec["suspend"] is True
    job = spec["jobTemplate"]["spec"]
    assert job["completionMode"] == "Indexed"
    assert job["completions"] == job["parallelism"] > 1
    (container,) = job["template"]["spec"]["containers"]
    file = environment("training", container)["HANDFUL_TUNE_STORAGE"]
    mounted = {each["mountPath"] for each in container["volumeMounts"]}
    assert file.rpartition("/")[0] in mounted


def test_production_has_its_stores_outside() -> None:
    assert not of_kind("production", "StatefulSet")
    mlflow = next(each for each in containers(dict(pods("production"))["mlflow"]) if each["name"] == "mlflow")
    settings = environment("production", mlflow)
    assert settings["MLFLOW_AUTH"] == "on", "others share the cluster"
    assert settings["S3_ENDPOINT_URL"] == ""
    assert settings["POSTGRES_HOST"] != "postgres"
