"""The weights that a training begins with: a local file, the engine's own, or those of a registered version."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

from handful_core.errors import ConfigError, NotFoundError
from handful_core.package import SeenImages, open_package, seen_by
from handful_core.registry import Registry, Version, parse_reference
from handful_trainer.config import TrainingConfig
from handful_trainer.tasks import get_task
from handful_trainer.tasks.engine import Engine

_REGISTERED = "models:/"


def resolve_alias(config: TrainingConfig, uri: str) -> TrainingConfig:
    """The same configuration with an alias in `model.pretrained` replaced by the version it stands for now.

    So a run says what it began with, and can be repeated after the alias has moved.

    Raises:
        ConfigError: the registry has no such model, version or alias, or it is of another task.
        UnavailableError: MLflow does not answer.
    """
    pretrained = config.model.pretrained
    if not pretrained or not pretrained.startswith(_REGISTERED):
        return config
    with Registry(uri) as registry:
        version = _version(registry, pretrained)
    own = get_task(config.task).package_task
    if (theirs := version.tags.get("task", own)) != own:
        raise ConfigError(
            f"model.pretrained: {pretrained} is for the task {theirs}, and this is for {own}",
            "name a version of the same task, other weights, or set it to false",
        )
    exact = f"{_REGISTERED}{version.name}/{version.version}"
    return config.model_copy(update={"model": config.model.model_copy(update={"pretrained": exact})})


def find_weights(
    pretrained: str, home: Path, uri: str, download: Callable[[str, Path], Path] | None, suffix: str = ".pt"
) -> Path:
    """The file of the weights to begin with.

    Args:
        pretrained: a local file, a name of the engine's own (downloaded once), `models:/NAME@ALIAS` or
            `models:/NAME/VERSION`.
        home: Handful's folder; what is downloaded goes to `weights` in it.
        uri: MLflow's address.
        download: brings weights by their name to a file; None where none can be downloaded so.
        suffix: how names of files of weights end.

    Raises:
        ConfigError: a path, model, version or alias that does not exist, or a version without weights.
        UnavailableError: the weights cannot be downloaded, or MLflow does not answer.
    """
    if pretrained.startswith(_REGISTERED):
        return _registered(pretrained, home, uri)
    here = next((p for p in (Path(pretrained), home / "weights" / pretrained) if p.is_file()), None)
    if here is not None:
        return here.resolve()
    if download is None or "/" in pretrained or not pretrained.endswith(suffix):
        raise ConfigError(
            f"model.pretrained: {pretrained} does not exist",
            f"name a {suffix} file or a registered model (models:/NAME@ALIAS), or set it to false",
        )
    return download(pretrained, home.resolve() / "weights" / pretrained)


def seen_before(config: TrainingConfig, engine: Engine, uri: str) -> SeenImages:
    """The images that the weights to begin with were trained on, as far as anybody knows.

    Published weights count as having seen none: what they were trained on are not the user's images. Of a file that
    somebody brings nothing is known.

    Raises:
        ConfigError: the registry has no such model, version or alias.
        PackageError: the version's list of seen images is damaged.
        UnavailableError: MLflow does not answer.
    """
    pretrained = config.model.pretrained
    if not pretrained:
        return SeenImages()
    if not pretrained.startswith(_REGISTERED):
        return SeenImages(complete=engine.publishes(Path(pretrained).name))
    with tempfile.TemporaryDirectory(prefix="handful-base-") as folder, Registry(uri) as registry:
        root = registry.download_package(_version(registry, pretrained), Path(folder))
        with open_package(root) as package:
            return seen_by(package)


def _version(registry: Registry, reference: str) -> Version:
    name, selector = parse_reference(reference)
    try:
        return registry.version(name, selector)
    except NotFoundError as error:
        raise ConfigError(
            f"model.pretrained: {reference} is not in the registry ({error.message})",
            "`handful import models/starter.zip` brings the starter model; or set it to false",
        ) from error


def _registered(reference: str, home: Path, uri: str) -> Path:
    folder = home.resolve() / "weights"
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder) as temporary, Registry(uri) as registry:
        version = _version(registry, reference)
        root = registry.download_package(version, Path(temporary))
        with open_package(root) as package:
            weights, digest = package.manifest.weights, package.digest
        if weights is None:
            raise ConfigError(
                f"model.pretrained: {version.name} version {version.version} holds no weights",
                "train it with package.weights: true, or name another",
            )
        target = folder / f"{version.name}-{version.version}-{digest[:12]}{Path(weights).suffix}"
        shutil.move(root / weights, target)
    return target
