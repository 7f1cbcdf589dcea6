"""A model in this process: from a package file or from the registry."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from handful.answers import Answer
from handful_core.package import Manifest, open_package
from handful_core.package.archive import read_folder
from handful_core.registry import Registry, parse_reference
from handful_core.runtime.model import VisionModel, load_model
from handful_core.settings import CoreSettings
from handful_core.settings import load as load_settings
from handful_core.vision.image_input import ChannelOrder, ImageInput, to_pixels
from handful_core.vision.prediction import TOP, to_dict


class Model:
    """A loaded model. Safe to use from several threads at once. `handful.load` makes it.

    It sees each image as it is: only a server blurs faces.
    """

    def __init__(self, model: VisionModel, version: int | None = None) -> None:
        self._model = model
        self.version = version
        """Its number in the registry; None for a package file."""

    def __repr__(self) -> str:
        version = f" version {self.version}" if self.version else ""
        return f"<handful.Model {self.name}{version}: {self.task}, {len(self.classes)} classes>"

    @property
    def manifest(self) -> Manifest:
        """All that the package says of itself: thresholds, input, dataset, test metrics."""
        return self._model.manifest

    @property
    def name(self) -> str:
        """The registered model's name."""
        return self.manifest.name

    @property
    def task(self) -> str:
        """`detect` or `classify`."""
        return self.manifest.task

    @property
    def classes(self) -> tuple[str, ...]:
        """The classes' names; a class's id is its place."""
        return self.manifest.classes

    def predict(
        self,
        image: ImageInput,
        *,
        confidence: float | None = None,
        iou: float | None = None,
        top: int = TOP,
        explain: bool = False,
        channel_order: ChannelOrder = "rgb",
    ) -> Answer:
        """Predict for one image.

        Args:
            image: a path, a file's bytes, a uint8 array of (height, width, 3), or a PIL image.
            confidence: lowest score that counts, or below which a classifier is uncertain; the model's own if None.
            iou: overlap above which two boxes are one object; the model's own if None.
            top: how many of a classifier's classes `Answer.top` names.
            explain: say where a classifier sees its class, if it can.
            channel_order: of an array's colours: `bgr` for those of OpenCV.

        Raises:
            DataError: the image cannot be used.
        """
        pixels = to_pixels(image, channel_order)
        found = self._model.predict(pixels, confidence, iou, explain=explain)
        used = self._model.postprocess_options(confidence, iou)
        fields = to_dict(found, self.manifest, top) | {
            "model": self.name,
            "version": self.version,
            "image": {"width": pixels.shape[1], "height": pixels.shape[0]},
            "thresholds": {"confidence": used.confidence, "iou": used.iou},
            "timings_ms": {stage: round(milliseconds, 3) for stage, milliseconds in found.timings.items()},
        }
        return Answer.model_validate(fields)


def load(source: str | os.PathLike[str], *, mlflow_uri: str | None = None, threads: int | None = None) -> Model:
    """Load a model into this process, checked as serving checks it: every hash, and its golden image.

        handful.load("package.zip")
        handful.load("models:/fingers@champion")
        handful.load("models:/fingers/3")

    Args:
        source: a package's ZIP file or folder, or a registered version.
        mlflow_uri: the address of MLflow; without one, HANDFUL_MLFLOW_URI or the MLflow that runs on this machine.
        threads: processors that one prediction may use; all that this process may use if None.

    Raises:
        ConfigError: `source` begins with `models:` and names no version.
        NotFoundError: the registry has no such model, version or alias.
        PackageError: the package is damaged, or does not answer its golden image as it should.
        UnavailableError: MLflow does not answer.
    """
    name = os.fspath(source)
    if name.startswith("models:"):
        return _registered(name, mlflow_uri or load_settings(CoreSettings).mlflow_uri, threads)
    with open_package(Path(name)) as package:
        return Model(load_model(package, threads))


def _registered(reference: str, uri: str, threads: int | None) -> Model:
    name, which = parse_reference(reference)
    with Registry(uri) as registry, tempfile.TemporaryDirectory(prefix="handful-package-") as folder:
        version = registry.version(name, which)
        package = read_folder(registry.download_package(version, Path(folder)))
        return Model(load_model(package, threads), version.version)
