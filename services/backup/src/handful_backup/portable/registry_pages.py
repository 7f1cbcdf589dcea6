"""MLflow's registry, page by page, as rows."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from handful_backup.portable.mlflow_api import Json, optional_int
from handful_backup.portable.staging import Spool
from handful_backup.tables import DEFAULT_WORKSPACE, stage_of
from handful_core.errors import NotFoundError
from handful_core.registry.rest import API, Rest

_PROMPTS = "tags.`mlflow.prompt.is_prompt` = 'true'"
"""MLflow keeps prompts among registered models and leaves them out unless asked for."""
_DEFAULT = {"workspace": DEFAULT_WORKSPACE}


class RegistryPages:
    """Registered models, prompts and their versions."""

    def __init__(self, rest: Rest, spool: Spool, jobs: int) -> None:
        self._rest = rest
        self._spool = spool
        self._jobs = jobs

    def read(self) -> None:
        """Read all."""
        for query in ({}, {"filter": _PROMPTS}):
            models = self._rest.pages(f"{API}/registered-models/search", "registered_models", query)
            for model in list(models):  # All pages first: what is created meanwhile moves their borders.
                self._model(model)
                self._versions(model["name"])

    def _model(self, model: Json) -> None:
        name = model["name"]
        self._spool.add(
            "registered_models",
            **_DEFAULT,
            name=name,
            creation_time=optional_int(model.get("creation_timestamp")),
            last_updated_time=optional_int(model.get("last_updated_timestamp")),
            description=model.get("description"),
        )
        for tag in model.get("tags", ()):
            self._spool.add("registered_model_tags", **_DEFAULT, name=name, key=tag["key"], value=tag.get("value", ""))
        for alias in model.get("aliases", ()):
            self._spool.add(
                "registered_model_aliases", **_DEFAULT, name=name, alias=alias["alias"], version=int(alias["version"])
            )

    def _versions(self, name: str) -> None:
        versions = versions_of(self._rest, name)
        with ThreadPoolExecutor(self._jobs) as pool:
            uris = list(pool.map(self._download_uri, versions))
        for version, uri in sorted(zip(versions, uris, strict=True), key=lambda pair: int(pair[0]["version"])):
            self._version(version, uri)

    def _download_uri(self, version: Json) -> str | None:
        query = {"name": version["name"], "version": str(version["version"])}
        try:
            uri = self._rest.get(f"{API}/model-versions/get-download-uri", query).get("artifact_uri")
        except NotFoundError:
            return None
        return str(uri) if uri else None

    def _version(self, version: Json, uri: str | None) -> None:
        name, number = version["name"], int(version["version"])
        self._spool.add(
            "model_versions",
            **_DEFAULT,
            name=name,
            version=number,
            creation_time=optional_int(version.get("creation_timestamp")),
            last_updated_time=optional_int(version.get("last_updated_timestamp")),
            description=version.get("description"),
            user_id=version.get("user_id"),
            current_stage=stage_of(version),
            source=version.get("source", ""),
            storage_location=uri,
            run_id=version.get("run_id") or None,
            run_link=version.get("run_link") or None,
            status=version.get("status"),
            status_message=version.get("status_message"),
        )
        for tag in version.get("tags", ()):
            self._spool.add(
                "model_version_tags",
                **_DEFAULT,
                name=name,
                version=number,
                key=tag["key"],
                value=tag.get("value", ""),
            )


def versions_of(rest: Rest, name: str) -> list[Json]:
    """All versions of a registered model or prompt, which MLflow finds by different searches."""
    quote = '"' if "'" in name else "'"  # MLflow's filters know no escapes.
    found: list[Json] = []
    for more in ("", f" AND {_PROMPTS}"):
        query = {"filter": f"name={quote}{name}{quote}{more}"}
        found += rest.pages(f"{API}/model-versions/search", "model_versions", query)
    return list({version["version"]: version for version in found}.values())
