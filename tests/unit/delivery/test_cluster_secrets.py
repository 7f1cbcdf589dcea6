"""Secrets are made once, at random, as the services read them, and a lost one is not made anew."""

from __future__ import annotations

import base64
import json
from pathlib import Path

import pytest

from compose import secret_files
from compose.errors import ComposeError
from delivery.cluster_secrets import deploy_key, ensure_secrets
from fakes.kubectl import FakeKubectl
from handful_mlflow.credentials import read_login
from handful_serving.adapters.key_file import KeyFile
from handful_serving.domain.auth import digest_of


def _value(kubectl: FakeKubectl, secret: str, name: str) -> str:
    return str(kubectl.objects["secret", secret]["stringData"][name])


def test_they_are_as_the_services_read_them(kubectl: FakeKubectl, tmp_path: Path) -> None:
    ensure_secrets(kubectl, has_stores=True)
    for secret, name in (("database", "postgres_password"), ("objects", "s3_access_key"), ("objects", "s3_secret_key")):
        (tmp_path / name).write_text(_value(kubectl, f"{secret}-secret", name))
        secret_files.validate(tmp_path, name)
    (tmp_path / "credentials").write_text(_value(kubectl, "mlflow-login", "credentials"))
    assert read_login(tmp_path / "credentials")[0] == "admin"
    (tmp_path / "keys.json").write_text(_value(kubectl, "serving-keys", "keys.json"))
    key = _value(kubectl, "deploy-key", "key")
    found = KeyFile(tmp_path / "keys.json").find(digest_of(key))
    assert found is not None
    assert found.scopes == {"predict"}
    assert key not in json.dumps(kubectl.objects["secret", "serving-keys"])
    # What is applied is kept a second time, in an annotation, which `kubectl describe` shows.
    assert {call.split()[0] for call in kubectl.calls} == {"create"}


def test_what_is_there_stays(kubectl: FakeKubectl) -> None:
    ensure_secrets(kubectl, has_stores=True)
    before = json.dumps(list(kubectl.objects.values()))
    ensure_secrets(kubectl, has_stores=True)
    assert json.dumps(list(kubectl.objects.values())) == before


def test_keys_of_your_own_are_left_alone(kubectl: FakeKubectl) -> None:
    kubectl.objects["secret", "serving-keys"] = {"kind": "Secret", "metadata": {"name": "serving-keys"}}
    ensure_secrets(kubectl, has_stores=True)
    assert ("secret", "deploy-key") not in kubectl.objects
    assert deploy_key(kubectl) == ""


def test_the_key_of_deliveries_is_read_as_the_cluster_keeps_it(kubectl: FakeKubectl) -> None:
    kubectl.objects["secret", "deploy-key"] = {"data": {"key": base64.b64encode(b"handful_k").decode()}}
    assert deploy_key(kubectl) == "handful_k"


def test_a_lost_password_of_a_database_that_is_there(kubectl: FakeKubectl) -> None:
    kubectl.objects["persistentvolumeclaim", "postgres-data-postgres-0"] = {"kind": "PersistentVolumeClaim"}
    with pytest.raises(ComposeError, match="bring it back"):
        ensure_secrets(kubectl, has_stores=True)
    assert not any(kind == "secret" for kind, _ in kubectl.objects)


def test_passwords_of_stores_outside_are_yours(kubectl: FakeKubectl) -> None:
    with pytest.raises(ComposeError, match="database-secret is missing"):
        ensure_secrets(kubectl, has_stores=False)
    for name in ("database-secret", "objects-secret"):
        kubectl.objects["secret", name] = {"kind": "Secret", "metadata": {"name": name}}
    ensure_secrets(kubectl, has_stores=False)
    assert ("secret", "mlflow-login") in kubectl.objects
