"""A small client of MLflow's REST API: what serving and the gate need of the registry, and package downloads."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import httpx

from handful_core.closing import Closing
from handful_core.errors import NotFoundError, RefusedError
from handful_core.package.archive import MAX_PACKAGE_BYTES, MAX_PACKAGE_FILES
from handful_core.package.errors import DamagedPackageError, MissingPackageError
from handful_core.registry.artifacts import ArtifactProxy, ForeignArtifactsError, UnsafeNameError, proxied_path
from handful_core.registry.records import CHAMPION, PREVIOUS, ROLLED_BACK, RegisteredModel, Version
from handful_core.registry.rest import API, Rest, parses_responses
from handful_core.registry.run_list import RunSummary, list_runs
from handful_core.registry.runs import Run, read_run

PACKAGE_PATH = "artifacts/package"
"""Where a logged pyfunc model keeps the model package."""


class Registry(Closing):
    """MLflow's registry behind `uri`.

    Args:
        uri: the tracking server's address.
        timeout: seconds to wait for one answer.
        attempts: how often a question is asked before the server counts as away.
        transport: another transport than the network, for tests.

    Every method raises `UnavailableError` when the server does not answer, `NotFoundError` for what it does not have.
    """

    def __init__(
        self, uri: str, timeout: float = 10, attempts: int = 3, transport: httpx.BaseTransport | None = None
    ) -> None:
        self._rest = Rest(uri, timeout, attempts, transport)
        self._artifacts = ArtifactProxy(self._rest)

    @property
    def uri(self) -> str:
        """The server's address, without a password."""
        return self._rest.uri

    def close(self) -> None:
        """Close the connections."""
        self._rest.close()

    @parses_responses
    def models(self) -> list[RegisteredModel]:
        """All registered models, by name."""
        pages = self._rest.pages(f"{API}/registered-models/search", "registered_models", {})
        return sorted((RegisteredModel.from_json(m) for m in pages), key=lambda m: m.name)

    @parses_responses
    def versions(self, name: str) -> list[Version]:
        """All versions of a model, the newest first."""
        mark = '"' if "'" in name else "'"  # MLflow's filters know no escapes.
        query = {"filter": f"name={mark}{name}{mark}"}
        found = [
            Version.from_json(v) for v in self._rest.pages(f"{API}/model-versions/search", "model_versions", query)
        ]
        aliases = self._aliases(name)
        # The search leaves a version's aliases out: they come from the registered model.
        found = [replace(v, aliases=tuple(sorted(a for a in aliases if aliases[a] == v.version))) for v in found]
        return sorted(found, key=lambda v: -v.version)

    @parses_responses
    def version(self, name: str, reference: str | int) -> Version:
        """The version with this number, or that this alias points at."""
        if isinstance(reference, int):
            query = {"name": name, "version": str(reference)}
            return Version.from_json(self._rest.get(f"{API}/model-versions/get", query)["model_version"])
        aliases = self._aliases(name)
        if reference not in aliases:
            raise NotFoundError(
                f"model {name} has no alias {reference}",
                f"it has {', '.join(sorted(aliases))}" if aliases else f"set one with: handful promote {name} VERSION",
            )
        return self.version(name, aliases[reference])

    @parses_responses
    def run(self, run_id: str) -> Run:
        """A training's metrics, with their curves."""
        return read_run(self._rest, run_id)

    @parses_responses
    def runs(self, experiment: str | None = None, limit: int = 20) -> list[RunSummary]:
        """The newest runs, of one experiment or of all."""
        return list_runs(self._rest, experiment, limit)

    def promote(self, name: str, version: int) -> Version:
        """Make a version the champion and remember the one before."""
        promoted = self.version(name, version)
        if promoted.tags.get(ROLLED_BACK):
            self.set_tags(name, version, {ROLLED_BACK: ""})
        champion = self._aliases(name).get(CHAMPION)
        if champion is not None and champion != version:
            self.set_alias(name, PREVIOUS, champion)
        self.set_alias(name, CHAMPION, version)
        return promoted

    def rollback_target(self, name: str) -> Version:
        """The version that `rollback` would make the champion.

        Raises:
            NotFoundError: the model has no previous champion.
            RefusedError: the previous champion is the version that the last rollback took away.
        """
        aliases = self._aliases(name)
        if PREVIOUS not in aliases:
            raise NotFoundError(
                f"model {name} has no previous champion", f"choose one with: handful promote {name} VERSION"
            )
        target = self.version(name, aliases[PREVIOUS])
        if target.tags.get(ROLLED_BACK):
            raise RefusedError(
                f"{name} was rolled back already, from version {target.version} to {aliases.get(CHAMPION)}, and a "
                f"second rollback would bring version {target.version} back",
                f"for an older one: handful promote {name} VERSION; if you do want it back: handful promote {name} "
                f"{target.version}",
            )
        return target

    def rollback(self, name: str) -> Version:
        """Make the previous champion the champion again, once: a second rollback is refused.

        Raises:
            NotFoundError: the model has no previous champion.
            RefusedError: the previous champion is the version that the last rollback took away.
        """
        target = self.rollback_target(name)
        replaced = self._aliases(name).get(CHAMPION)
        promoted = self.promote(name, target.version)
        if replaced is not None and replaced != target.version:
            self.set_tags(name, replaced, {ROLLED_BACK: str(target.version)})
        return promoted

    def set_alias(self, name: str, alias: str, version: int) -> None:
        """Point an alias at a version."""
        self._rest.post(f"{API}/registered-models/alias", {"name": name, "alias": alias, "version": str(version)})

    def set_tags(self, name: str, version: int, tags: Mapping[str, str]) -> None:
        """Set tags of a version."""
        for key, value in tags.items():
            body = {"name": name, "version": str(version), "key": key, "value": value}
            self._rest.post(f"{API}/model-versions/set-tag", body)

    def download_package(self, version: Version, target: Path) -> Path:
        """Fetch a version's model package into the folder `target`.

        Raises:
            MissingPackageError: the version has no model package, or its artifacts cannot be fetched over HTTP.
            DamagedPackageError: it is larger than any package is.
        """
        root = f"{self._artifact_path(version)}/{PACKAGE_PATH}"
        names = self._list(root)
        left = MAX_PACKAGE_BYTES
        if not names:
            raise MissingPackageError(
                f"{version.name} version {version.version} holds no model package",
                "only versions that handful registered can be served",
            )
        for name in names:
            path = target / name
            path.parent.mkdir(parents=True, exist_ok=True)
            left -= self._artifacts.download(f"{root}/{name}", path, left)
        return target

    def download_package_file(self, version: Version, name: str, target: Path) -> None:
        """Fetch one file of a version's model package, such as its manifest.

        Raises:
            MissingPackageError: the version's package has no such file, or cannot be fetched over HTTP.
            DamagedPackageError: it is larger than a package may be.
        """
        path = f"{self._artifact_path(version)}/{PACKAGE_PATH}/{name}"
        try:
            self._artifacts.download(path, target, MAX_PACKAGE_BYTES)
        except NotFoundError as error:
            raise MissingPackageError(
                f"the model package of {version.name} version {version.version} has no {name}",
                "only versions that handful registered can be used",
            ) from error

    @parses_responses
    def _artifact_path(self, version: Version) -> str:
        """The path of a version's artifacts in MLflow's artifact proxy."""
        query = {"name": version.name, "version": str(version.version)}
        uri: str = self._rest.get(f"{API}/model-versions/get-download-uri", query)["artifact_uri"]
        if uri.startswith("models:/"):
            model_id = uri.removeprefix("models:/").strip("/")
            uri = self._rest.get(f"{API}/logged-models/{model_id}", {})["model"]["info"]["artifact_uri"]
        try:
            return proxied_path(uri)
        except ForeignArtifactsError as error:
            raise MissingPackageError(
                f"{version.name} version {version.version} lies at {error.place}, which MLflow does not pass on",
                "start MLflow with --artifacts-destination and register the model again",
            ) from error

    def _list(self, folder: str) -> list[str]:
        """Paths below a folder, from a server that is believed but not trusted to choose where files are written."""
        try:
            names = [name for name, _ in itertools.islice(self._artifacts.walk(folder), MAX_PACKAGE_FILES + 1)]
        except UnsafeNameError as error:
            raise _unsafe(error.name) from error
        if len(names) > MAX_PACKAGE_FILES:
            raise DamagedPackageError(f"{folder} holds more than {MAX_PACKAGE_FILES} files", "it is no model package")
        if bad := next((name for name in names if any(sign in name for sign in "\\:\0")), None):
            raise _unsafe(bad)
        return names

    @parses_responses
    def _aliases(self, name: str) -> Mapping[str, int]:
        body = self._rest.get(f"{API}/registered-models/get", {"name": name})
        return RegisteredModel.from_json(body["registered_model"]).aliases


def _unsafe(name: str) -> MissingPackageError:
    return MissingPackageError(f"MLflow lists a file with the name {name!r}", "register the model again")
