"""Registers packages in a real MLflow over REST, laid out as a logged pyfunc model: no import of mlflow, no waiting."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from urllib.parse import quote, urlsplit

import httpx

_API = "/api/2.0/mlflow"


def register(
    uri: str,
    root: Path | None,
    name: str = "fingers",
    aliases: Iterable[str] = (),
    tags: Mapping[str, str] | None = None,
) -> int:
    """Log the package in `root` (or none) as a model and register it; its version."""
    with httpx.Client(base_url=uri, timeout=60) as http:
        model_id = _log(http, root)
        http.post(f"{_API}/registered-models/create", json={"name": name})  # An error if it is there: that is fine.
        body = {
            "name": name,
            "source": f"models:/{model_id}",
            "model_id": model_id,
            "tags": [{"key": key, "value": value} for key, value in (tags or {}).items()],
        }
        created = http.post(f"{_API}/model-versions/create", json=body).raise_for_status().json()
        version = int(created["model_version"]["version"])
        for alias in aliases:
            point(uri, alias, version, name)
    return version


def point(uri: str, alias: str, version: int, name: str = "fingers") -> None:
    """Set an alias."""
    body = {"name": name, "alias": alias, "version": str(version)}
    httpx.post(f"{uri}{_API}/registered-models/alias", json=body, timeout=60).raise_for_status()


def drop_alias(uri: str, alias: str, name: str = "fingers") -> None:
    """Remove an alias."""
    params = {"name": name, "alias": alias}
    httpx.request("DELETE", f"{uri}{_API}/registered-models/alias", params=params, timeout=60).raise_for_status()


def delete_model(uri: str, name: str = "fingers") -> None:
    """Remove a registered model and all its versions."""
    body = {"name": name}
    httpx.request("DELETE", f"{uri}{_API}/registered-models/delete", json=body, timeout=60).raise_for_status()


def _log(http: httpx.Client, root: Path | None) -> str:
    made = http.post(f"{_API}/logged-models", json={"experiment_id": "0", "name": "model"}).raise_for_status().json()
    model_id, folder = made["model"]["info"]["model_id"], urlsplit(made["model"]["info"]["artifact_uri"]).path
    for path in sorted(p for p in root.rglob("*") if p.is_file()) if root else ():
        inside = path.relative_to(root or path).as_posix()
        address = f"/api/2.0/mlflow-artifacts/artifacts{folder}/artifacts/package/{quote(inside)}"
        http.put(address, content=path.read_bytes()).raise_for_status()
    body = {"model_id": model_id, "status": "LOGGED_MODEL_READY"}
    http.patch(f"{_API}/logged-models/{model_id}", json=body).raise_for_status()
    return str(model_id)
