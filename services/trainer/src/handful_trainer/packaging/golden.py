"""The golden image: a picture with its answer, so that serving can tell a model that went wrong on the way."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import cv2
import numpy as np

from handful_core.package import Golden, GoldenDetection, Package, write_package
from handful_core.package.archive import describe_files
from handful_core.runtime.model import VisionModel, check_golden, load_model
from handful_core.vision.decode import Pixels, decode_image
from handful_core.vision.detections import Detections
from handful_core.vision.prediction import Prediction
from handful_faces import publishing_blur
from handful_trainer.dataset.prepared import PreparedDataset

GOLDEN_FILE = "golden.png"
_TRIED = 50
_MARGIN = 0.05
"""A box this close to the threshold might come and go with a rounding error."""


def golden_images(dataset: PreparedDataset) -> list[Path]:
    """The images among which the golden one is chosen: of val, or of train where val has none that may travel.

    Raises:
        DataError: a label file or an image is damaged.
    """
    return dataset.publishable("val") or dataset.publishable("train")


def write_golden(model: VisionModel, images: Sequence[Path], folder: Path) -> Golden:
    """Choose the image with the clearest answer, write it as PNG, and return what it must give.

    The picture is made no larger than the model's input: that is all the model sees of it. Its faces are blurred, as
    serving blurs them: a package travels, and MLflow keeps it. Without an image to choose from it is a drawn pattern.

    Raises:
        BlurError: faces could not be looked for.
    """
    confidence = model.manifest.thresholds.confidence
    candidates = [_candidate(path, model) for path in images[:_TRIED]] or [_pattern(model)]
    pixels = max(candidates, key=lambda image: _clarity(model.predict(image, confidence / 2), confidence))
    cv2.imwrite(str(folder / GOLDEN_FILE), pixels)
    prediction = model.predict(pixels, confidence)
    if prediction.probabilities is not None:
        expected = tuple(round(value, 6) for value in prediction.probabilities.tolist())
        return Golden(image=GOLDEN_FILE, confidence=confidence, probabilities=expected)
    return Golden(image=GOLDEN_FILE, confidence=confidence, detections=_expected(prediction.detections))


def with_golden(package: Package, picture: Path, folder: Path) -> Package:
    """A copy of a package whose golden image is this picture, blurred, so that none of the dataset travels with it.

    Args:
        package: is left as it is.
        picture: an image file.
        folder: a new one.

    Raises:
        DataError: the picture cannot be read.
    """
    shutil.copytree(package.root, folder)
    if before := package.manifest.golden:
        (folder / before.image).unlink()
    golden = write_golden(load_model(package), [picture], folder)
    manifest = package.manifest.model_copy(update={"golden": golden, "files": describe_files(folder)})
    return write_package(folder, manifest)


@contextmanager
def without_faces(package: Package) -> Iterator[Package]:
    """A package for the registry: itself, or a copy with the faces in its golden image blurred.

    Raises:
        GoldenError: the package does not give the expected answer on its golden image as it is.
        BlurError: faces could not be looked for.
    """
    golden = package.manifest.golden
    if golden is None or not _has_faces(package.root / golden.image):
        yield package
        return
    check_golden(load_model(package), golden)
    with tempfile.TemporaryDirectory(prefix="handful-package-") as folder:
        yield with_golden(package, package.root / golden.image, Path(folder) / "package")


def _has_faces(picture: Path) -> bool:
    return publishing_blur()(decode_image(picture.read_bytes())) > 0


def _clarity(prediction: Prediction, confidence: float) -> tuple[bool, bool, float]:
    """Something found, nothing near the threshold, and the weakest box (or the class) as sure as can be."""
    if prediction.probabilities is not None:
        return True, True, float(np.max(prediction.probabilities))
    found = prediction.detections
    sure = found.above(confidence)
    near = any(abs(score - confidence) < _MARGIN for score in found.scores.tolist())
    return (len(sure) > 0, not near, float(np.min(sure.scores)) if len(sure) else 0.0)


def _candidate(path: Path, model: VisionModel) -> Pixels:
    pixels = decode_image(path.read_bytes())
    publishing_blur()(pixels)
    return _small(pixels, model)


def _pattern(model: VisionModel) -> Pixels:
    """Soft spots of colour: no picture of anything, and yet no answer that a broken graph would give by chance."""
    spots = np.random.default_rng(0).integers(0, 256, (8, 8, 3), np.uint8)
    size = (model.manifest.input.width, model.manifest.input.height)
    return cv2.resize(spots, size, interpolation=cv2.INTER_CUBIC)  # type: ignore[return-value]


def _small(pixels: Pixels, model: VisionModel) -> Pixels:
    height, width = pixels.shape[:2]
    ratio = min(1.0, model.manifest.input.width / width, model.manifest.input.height / height)
    size = (max(1, round(width * ratio)), max(1, round(height * ratio)))
    return pixels if ratio == 1.0 else cv2.resize(pixels, size, interpolation=cv2.INTER_AREA)  # type: ignore[return-value]


def _expected(found: Detections) -> tuple[GoldenDetection, ...]:
    rows = zip(found.boxes.tolist(), found.scores.tolist(), found.classes.tolist(), strict=True)
    return tuple(GoldenDetection(class_id=c, confidence=round(s, 6), box=tuple(box)) for box, s, c in rows)
