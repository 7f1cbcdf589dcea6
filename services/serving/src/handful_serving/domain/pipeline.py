"""From the bytes of an image to an answer, in the thread that calls: decode, blur faces, ask the model, draw."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace

from handful_core.package import Manifest
from handful_core.vision.decode import DecodedImage, Pixels, decode_reduced
from handful_core.vision.prediction import Prediction
from handful_serving.domain.prediction import Options, Outcome
from handful_serving.domain.privacy import FaceBlur
from handful_serving.domain.store import Model

Draw = Callable[[Pixels, Prediction | None, Manifest], bytes]
"""A picture as a JPEG, with the answer drawn in if there is one."""


@dataclass(frozen=True, slots=True)
class Ready:
    """An image that a model may see: no face in it can be recognised any more."""

    picture: DecodedImage
    faces: int
    decode: float
    """Milliseconds."""
    blur: float
    """Milliseconds."""


class Pipeline:
    """The work on one image. Safe to use from several threads at once.

    Args:
        blur: blurs faces.
        draw: draws pictures that are sent back.
        max_pixels: images with more are refused before they are decoded.
    """

    def __init__(self, blur: FaceBlur, draw: Draw, max_pixels: int) -> None:
        self._blur = blur
        self._draw = draw
        self._max_pixels = max_pixels

    def prepare(self, data: bytes, manifest: Manifest, options: Options) -> Ready:
        """Decode an image and blur its faces.

        Raises:
            ImageError: the image cannot be used.
            BlurError: faces could not be looked for.
        """
        spec = manifest.input
        started = time.perf_counter()
        # A picture that is sent back has the size of the one that was sent.
        enough = max(spec.width, spec.height, self._blur.size) if options.drawing == "none" else None
        picture = decode_reduced(data, min(self._max_pixels, options.max_pixels or self._max_pixels), enough)
        decoded = time.perf_counter()
        faces = self._blur(picture.pixels)
        return Ready(picture, faces, (decoded - started) * 1e3, (time.perf_counter() - decoded) * 1e3)

    def answer(self, model: Model, ready: Ready, options: Options) -> Outcome:
        """Ask a model.

        Raises:
            PackageError: the model's graph fails.
        """
        picture = ready.picture
        answer = model.predict(picture.pixels, options.confidence, options.iou)
        answer = replace(answer, detections=answer.detections.scaled(*picture.scale))
        timings = {"decode": ready.decode, "blur": ready.blur, **answer.timings}
        drawn = None
        if options.drawing != "none":
            started = time.perf_counter()
            shown = answer if options.drawing == "annotated" else None
            drawn = self._draw(picture.pixels, shown, model.manifest)
            timings["draw"] = (time.perf_counter() - started) * 1e3
        return Outcome(answer, picture.width, picture.height, ready.faces, timings, drawn)
