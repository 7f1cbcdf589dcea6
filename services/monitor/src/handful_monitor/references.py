"""What a version was accepted on, out of its package in the registry: the manifest and the profile, not the model."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from handful_core.errors import NotFoundError
from handful_core.package import Manifest
from handful_core.package.archive import MANIFEST, sha256_of
from handful_core.package.errors import DamagedPackageError, ManifestError
from handful_core.profile import Profile, read_profile
from handful_core.registry import Registry
from handful_monitor.domain.comparison import Reference
from handful_monitor.domain.null import NullDistributions


@dataclass(frozen=True, slots=True)
class AcceptedVersion:
    """A version whose package says what it was accepted on."""

    digest: str
    """The package's, which every row of a log names."""
    profile: Profile
    reference: Reference


class References:
    """Fetches what versions were accepted on, once each.

    Args:
        registry: where their packages are.
    """

    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self._known: dict[tuple[str, str], AcceptedVersion] = {}
        self._null = NullDistributions()

    def of(self, model: str, version: str) -> AcceptedVersion:
        """What a version was accepted on.

        Raises:
            NotFoundError: there is no such version, or its package says nothing of it.
            PackageError: its profile or manifest is damaged.
            UnavailableError: MLflow does not answer.
        """
        key = (model, version)
        if key not in self._known:
            self._known[key] = self._fetch(model, version)
        return self._known[key]

    def _fetch(self, model: str, version: str) -> AcceptedVersion:
        if not version.isdecimal():
            raise NotFoundError(f"{model} has no version {version!r}", "rows of a log name versions by their number")
        found = self._registry.version(model, int(version))
        with tempfile.TemporaryDirectory(prefix="handful-monitor-") as name:
            folder = Path(name)
            self._registry.download_package_file(found, MANIFEST, folder / MANIFEST)
            manifest = _manifest(folder / MANIFEST)
            if manifest.profile is None:
                raise NotFoundError(
                    f"the package of {model} version {version} has no profile of the images that it was accepted on",
                    "package it again with this version of Handful",
                )
            path = folder / manifest.profile.file
            self._registry.download_package_file(found, manifest.profile.file, path)
            if sha256_of(path) != manifest.files[manifest.profile.file].sha256:
                raise DamagedPackageError(
                    f"the profile of {model} version {version} differs from the hash in its manifest",
                    "register the version again",
                )
            profile = read_profile(folder, manifest.profile)
            reference = Reference(profile.features, profile.columns, null=self._null)
            return AcceptedVersion(sha256_of(folder / MANIFEST), profile, reference)


def _manifest(path: Path) -> Manifest:
    try:
        return Manifest.model_validate_json(path.read_bytes())
    except ValidationError as error:
        raise ManifestError(
            f"the manifest of the package is not valid ({error.errors()[0]['msg']})", "register the version again"
        ) from error
