"""Writes what validation and test images are like, and the model's answers to them, into its package.

Serving logs the same features of what it is asked: monitoring compares the two.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from handful_core.console import progress
from handful_core.package import MAX_REFERENCE_BYTES, SCHEMA_VERSION, Package, ProfileSpec, write_package
from handful_core.package.archive import describe_files
from handful_core.profile import FeatureValue, Profile, features_of_model
from handful_core.profile.appearance import SIDE
from handful_core.profile.measurement import features_of
from handful_core.profile.projection import DIRECTIONS, PROJECTION_FILE, fit_projection
from handful_core.profile.reference import PROFILE_FILE
from handful_core.runtime.model import VisionModel, load_model
from handful_core.vision.decode import decode_image, decode_reduced
from handful_core.vision.preprocess import least_size
from handful_trainer.dataset.prepared import PreparedDataset

SPLITS = ("val", "test")
_MOST_IMAGES = 2000
"""Of a split: a window of served answers is smaller than that."""
_TRAINING_SAMPLE = 500
"""Training images that the projection is fitted on at most. Those of `SPLITS` are not: they would leave less of a rest
than images that come later."""
_FEWEST = 4
"""Training images."""


def with_profile(package: Package, dataset: PreparedDataset) -> Package:
    """The same package, in its folder, with a profile of the validation and test images.

    Args:
        package: with all else; a profile that it has is replaced.
        dataset: what its model was trained and evaluated on.
    """
    package = _without_profile(package)
    spec = _write_projection(package, dataset)
    if spec.projection:
        # The model projects embeddings once its package says how: at first with a profile of no images.
        package = _described(package, spec)
    model = load_model(package)
    rows = {split: _rows(model, dataset, split) for split in SPLITS if dataset.split_sizes.get(split)}
    spec = spec.model_copy(update={"images": sum(map(len, rows.values()))})
    manifest = package.manifest.model_copy(update={"profile": spec})
    return _described(package, spec, Profile.of_rows(manifest.task, features_of_model(manifest), rows))


def _without_profile(package: Package) -> Package:
    for name in (PROFILE_FILE, PROJECTION_FILE):
        (package.root / name).unlink(missing_ok=True)
    update = {"profile": None, "files": describe_files(package.root)}
    return write_package(package.root, package.manifest.model_copy(update=update))


def _described(package: Package, spec: ProfileSpec, profile: Profile | None = None) -> Package:
    (profile or Profile(package.manifest.task, (), {}, {})).write(package.root)
    update = {"schema_version": SCHEMA_VERSION, "profile": spec, "files": describe_files(package.root)}
    return write_package(package.root, package.manifest.model_copy(update=update))


def _write_projection(package: Package, dataset: PreparedDataset) -> ProfileSpec:
    """A projection of embeddings, where the graph has them and there are images to fit it on."""
    embedding, plain = package.manifest.output.embedding, ProfileSpec(images=0)
    if embedding is None or not dataset.split_sizes.get("train"):
        return plain
    paths = _sample(dataset.images("train"), _TRAINING_SAMPLE)
    room = MAX_REFERENCE_BYTES // (embedding.shape[-1] * np.dtype(np.float16).itemsize) - 2
    if len(paths) < _FEWEST or room < 1:
        return plain
    model = load_model(package)
    with progress() as bar:
        shown = bar.track(paths, description="looking at training images")
        embeddings = [model.raw(decode_image(path.read_bytes()))[1] for path in shown]
    rows = fit_projection(np.asarray(embeddings, np.float32), min(DIRECTIONS, room))
    np.save(package.root / PROJECTION_FILE, rows.astype(np.float16))
    return ProfileSpec(images=0, projection=PROJECTION_FILE, directions=len(rows) - 1)


def _rows(model: VisionModel, dataset: PreparedDataset, split: str) -> list[dict[str, FeatureValue]]:
    """The features of a split's images, decoded as serving decodes them: no larger than needed."""
    spec, rows = model.manifest.input, []
    with progress() as bar:
        paths = _sample(dataset.images(split), _MOST_IMAGES)
        for path in bar.track(paths, description=f"measuring {split} images"):
            data = path.read_bytes()
            image = decode_reduced(data, enough=max(spec.width, spec.height, SIDE), least=least_size(spec))
            prediction = model.predict(image.pixels).scaled(*image.scale)
            rows.append(features_of(data, image, prediction, model.manifest))
    return rows


def _sample(paths: Sequence[Path], most: int) -> list[Path]:
    """So many of them at most, chosen by chance and in every run alike, in their order."""
    chosen = np.random.default_rng(0).permutation(len(paths))[:most]
    return [paths[i] for i in sorted(chosen.tolist())]
