"""A small client of MLflow's REST API: what serving and the gate need of the registry, and package downloads."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path, PurePosixPath
from types import TracebackType
from typing import Any, Self
from urllib.parse import quote, urlsplit

import httpx
from tenacity import retry, retry_if_exception_type, stop_after_attempt, wait_random_exponential

from handful_core.errors import HandfulError, NotFoundError, PackageError, UnavailableError
from handful_core.registry.records import CHAMPION, PREVIOUS, RegisteredModel, Version

_log = logging.getLogger(__name__)
_API = "/api/2.0/mlflow"
_ARTIFACTS = "/api/2.0/mlflow-artifacts/artifacts"
_PAGE = 1000

PACKAGE_PATH = "artifacts/package"
"""Where a logged pyfunc model keeps the model package."""


class _TransientError(UnavailableError):
    """The server did not answer or answered with a passing fault: worth another try."""


class Registry:
    """MLflow's registry behind `uri`.

    Args:
        uri: the tracking server's address.
        timeout: seconds to wait for one answer.
        transport: another transport than the network, for tests.

    Every method raises `UnavailableError` when the server does not answer, and `NotFoundError` for what it does not have.
    """

    def __init__(self, uri: str, timeout: float = 10, transport: httpx.BaseTransport | None = None) -> None:
        self.uri = uri.rstrip("/")
        self._http = httpx.Client(base_url=self.uri, timeout=timeout, transport=transport)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def models(self) -> list[RegisteredModel]:
        """All registered models, by name."""
        pages = self._pages(f"{_API}/registered-models/search", "registered_models", {})
        return sorted((RegisteredModel.from_json(m) for m in pages), key=lambda m: m.name)

    def versions(self, name: str) -> list[Version]:
        """All versions of a model, the newest first."""
        query = {"filter": "name='{}'".format(name.replace("'", "\\'"))}
        found = [Version.from_json(v) for v in self._pages(f"{_API}/model-versions/search", "model_versions", query)]
        aliases = self._aliases(name)
        # The search leaves a version's aliases out: they come from the registered model.
        found = [replace(v, aliases=tuple(sorted(a for a in aliases if aliases[a] == v.version))) for v in found]
        return sorted(found, key=lambda v: -v.version)

    def version(self, name: str, reference: str | int) -> Version:
        """The version with this number, or that this alias points at."""
        if isinstance(reference, int):
            query = {"name": name, "version": str(reference)}
            return Version.from_json(self._get(f"{_API}/model-versions/get", query)["model_version"])
        aliases = self._aliases(name)
        if reference not in aliases:
            raise NotFoundError(
                f"model {name} has no alias {reference}",
                f"it has {', '.join(sorted(aliases))}" if aliases else f"set one with: handful promote {name} VERSION",
            )
        return self.version(name, aliases[reference])

    def promote(self, name: str, version: int) -> Version:
        """Make a version the champion and remember the one before."""
        promoted = self.version(name, version)
        champion = self._aliases(name).get(CHAMPION)
        if champion is not None and champion != version:
            self.set_alias(name, PREVIOUS, champion)
        self.set_alias(name, CHAMPION, version)
        return promoted

    def rollback(self, name: str) -> Version:
        """Make the previous champion the champion again; a second rollback undoes the first."""
        aliases = self._aliases(name)
        if PREVIOUS not in aliases:
            raise NotFoundError(
                f"model {name} has no previous champion", f"choose one with: handful promote {name} VERSION"
            )
        return self.promote(name, aliases[PREVIOUS])

    def set_alias(self, name: str, alias: str, version: int) -> None:
        """Point an alias at a version."""
        self._post(f"{_API}/registered-models/alias", {"name": name, "alias": alias, "version": str(version)})

    def set_tags(self, name: str, version: int, tags: Mapping[str, str]) -> None:
        """Set tags of a version."""
        for key, value in tags.items():
            body = {"name": name, "version": str(version), "key": key, "value": value}
            self._post(f"{_API}/model-versions/set-tag", body)

    def download_package(self, version: Version, target: Path) -> Path:
        """Fetch a version's model package into the folder `target`.

        Raises:
            PackageError: the version has no model package, or its artifacts cannot be fetched over HTTP.
        """
        root = PurePosixPath(self._artifact_path(version)) / PACKAGE_PATH
        names = list(self._files(root))
        if not names:
            raise PackageError(
                f"{version.name} version {version.version} holds no model package",
                "only versions that handful registered can be served",
            )
        for name in names:
            path = target / name.relative_to(root)
            path.parent.mkdir(parents=True, exist_ok=True)
            self._fetch(name, path)
        return target

    def _artifact_path(self, version: Version) -> str:
        """The path of a version's artifacts in MLflow's artifact proxy."""
        query = {"name": version.name, "version": str(version.version)}
        uri = self._get(f"{_API}/model-versions/get-download-uri", query)["artifact_uri"]
        if uri.startswith("models:/"):
            model_id = uri.removeprefix("models:/").strip("/")
            uri = self._get(f"{_API}/logged-models/{model_id}", {})["model"]["info"]["artifact_uri"]
        parts = urlsplit(uri)
        if parts.scheme != "mlflow-artifacts":
            raise PackageError(
                f"{version.name} version {version.version} lies at {parts.scheme}:, which the MLflow server does not pass on",
                "start MLflow with --artifacts-destination and register the model again",
            )
        return parts.path.lstrip("/")

    def _files(self, folder: PurePosixPath) -> Iterator[PurePosixPath]:
        for entry in self._get(_ARTIFACTS, {"path": str(folder)}).get("files", ()):
            path = folder / PurePosixPath(entry["path"]).name
            if entry["is_dir"]:
                yield from self._files(path)
            else:
                yield path

    def _fetch(self, name: PurePosixPath, path: Path) -> None:
        try:
            with self._http.stream("GET", f"{_ARTIFACTS}/{quote(str(name))}") as response:
                if response.is_error:
                    response.read()
                    raise self._failure(response)
                with path.open("wb") as file:
                    for chunk in response.iter_bytes(1 << 20):
                        file.write(chunk)
        except httpx.TransportError as error:
            raise self._unreachable(error) from error

    def _aliases(self, name: str) -> Mapping[str, int]:
        answer = self._get(f"{_API}/registered-models/get", {"name": name})
        return RegisteredModel.from_json(answer["registered_model"]).aliases

    def _pages(self, path: str, key: str, query: Mapping[str, str]) -> Iterator[dict[str, Any]]:
        token = ""
        while True:
            answer = self._get(path, {**query, "max_results": str(_PAGE), **({"page_token": token} if token else {})})
            yield from answer.get(key, ())
            token = answer.get("next_page_token", "")
            if not token:
                return

    @retry(
        retry=retry_if_exception_type(_TransientError),
        stop=stop_after_attempt(3),
        wait=wait_random_exponential(multiplier=0.2, max=2),
        reraise=True,
    )
    def _get(self, path: str, query: Mapping[str, str]) -> dict[str, Any]:
        return self._call("GET", path, params=dict(query))

    def _post(self, path: str, body: Mapping[str, str]) -> dict[str, Any]:
        return self._call("POST", path, json=dict(body))

    def _call(self, method: str, path: str, **arguments: Any) -> dict[str, Any]:
        try:
            response = self._http.request(method, path, **arguments)
        except httpx.TransportError as error:
            raise self._unreachable(error) from error
        if response.is_error:
            raise self._failure(response)
        try:
            answer = response.json()
        except ValueError as error:
            raise self._no_mlflow() from error
        if not isinstance(answer, dict):
            raise self._no_mlflow()
        return answer

    def _unreachable(self, error: httpx.TransportError) -> UnavailableError:
        reason = str(error) or type(error).__name__
        return _TransientError(
            f"MLflow at {self.uri} does not answer ({reason})", "start it, or set HANDFUL_MLFLOW_URI to where it runs"
        )

    def _no_mlflow(self) -> UnavailableError:
        return UnavailableError(
            f"{self.uri} answers, but not as MLflow does", "set HANDFUL_MLFLOW_URI to MLflow's address"
        )

    def _failure(self, response: httpx.Response) -> HandfulError:
        code, message = _error_of(response)
        if code == "RESOURCE_DOES_NOT_EXIST":
            return NotFoundError(message, "list what there is in MLflow's page")
        if response.status_code >= 500 or response.status_code == httpx.codes.TOO_MANY_REQUESTS:
            return _TransientError(f"MLflow at {self.uri} failed with status {response.status_code} ({message})")
        if response.status_code in {httpx.codes.UNAUTHORIZED, httpx.codes.FORBIDDEN}:
            return UnavailableError(
                f"MLflow at {self.uri} refuses access with status {response.status_code} ({message})",
                "check its credentials and MLFLOW_SERVER_ALLOWED_HOSTS",
            )
        return HandfulError(f"MLflow refused the request with status {response.status_code} ({message})")


def _error_of(response: httpx.Response) -> tuple[str, str]:
    """MLflow's error code and message."""
    try:
        body = response.json()
    except ValueError:
        return "", response.text[:200]
    return (body.get("error_code", ""), body.get("message", "")) if isinstance(body, dict) else ("", str(body)[:200])
