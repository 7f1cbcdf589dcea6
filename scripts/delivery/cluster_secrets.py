"""The Secrets: made at random where there are none, and never written into a manifest or onto a command line."""

from __future__ import annotations

import base64
import hashlib
import json
import secrets
from collections.abc import Mapping

from compose import secret_files
from compose.errors import CONFIG, ComposeError
from console import print_status
from delivery.kubectl import Kubectl, Manifest

DEPLOY_KEY = "deploy"
"""The API key of deliveries: it asks a new colour whether it answers."""


def ensure_secrets(kubectl: Kubectl, *, has_stores: bool) -> None:
    """Make the Secrets that are missing.

    Args:
        kubectl: the cluster.
        has_stores: whether Postgres and the object store are in the cluster: their passwords are ours to make.

    Raises:
        ComposeError: one is missing that only you know, or the cluster refuses one.
    """
    made = _made()
    missing = [name for name in made if kubectl.find("secret", name) is None]
    if "serving-keys" not in missing and "deploy-key" in missing:  # You made the keys: yours is used (--key-file).
        missing.remove("deploy-key")
    known_outside = [name for name in ("database-secret", "objects-secret") if name in missing and not has_stores]
    if known_outside:
        raise ComposeError(
            f"the Secret {known_outside[0]} is missing, and its stores are outside: docs/kubernetes.md, Secrets, has "
            "the command that makes it",
            CONFIG,
        )
    if "database-secret" in missing and kubectl.find("persistentvolumeclaim", "postgres-data-postgres-0"):
        raise ComposeError(
            "the database is there, but the Secret database-secret that it was made with is not: bring it back", CONFIG
        )
    kubectl.create(_secret(name, values) for name, values in made.items() if name in missing)
    if missing:
        print_status(f"made the Secrets {', '.join(missing)}: keep a copy of them (docs/kubernetes.md, Secrets)")


def _made() -> Mapping[str, Mapping[str, str]]:
    """All Secrets with new values. Serving gets hashes of keys; no pod mounts the Secret with the key of deliveries."""
    key = f"handful_{secrets.token_urlsafe(32)}"
    known = {
        "name": DEPLOY_KEY,
        "sha256": hashlib.sha256(key.encode()).hexdigest(),
        "scopes": ["predict"],
        "rate_per_minute": None,
        "created": "",
    }
    sweeps = secrets.token_hex(24)
    return {
        "database-secret": {"postgres_password": secret_files.random_value("postgres_password")},
        "objects-secret": {name: secret_files.random_value(name) for name in ("s3_access_key", "s3_secret_key")},
        "mlflow-login": {"credentials": _login(secrets.token_hex(24))},
        "metrics-secret": {"metrics_key": secrets.token_hex(24)},
        "grafana-secret": {name: secrets.token_hex(24) for name in ("grafana_password", "grafana_secret_key")},
        "sweeps-secret": {"postgres_password": sweeps, "url": f"postgresql://sweeps:{sweeps}@sweeps:5432/sweeps"},
        "serving-keys": {"keys.json": json.dumps({"keys": [known]}, indent=2)},
        "deploy-key": {"key": key},
    }


def _login(password: str) -> str:
    """As MLflow's clients read it from ~/.mlflow/credentials."""
    return f"[mlflow]\nmlflow_tracking_username = admin\nmlflow_tracking_password = {password}\n\n"


def _secret(name: str, values: Mapping[str, str]) -> Manifest:
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": name, "labels": {"app.kubernetes.io/part-of": "handful"}},
        "type": "Opaque",
        "stringData": dict(values),
    }


def deploy_key(kubectl: Kubectl) -> str:
    """The API key of deliveries; empty where somebody made the Secret without one."""
    found = kubectl.find("secret", "deploy-key")
    value = (found or {}).get("data", {}).get("key", "")
    return base64.b64decode(value).decode()
