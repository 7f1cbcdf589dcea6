"""The golden image: does a loaded model give the answer that its manifest expects?"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from handful_core.errors import DataError
from handful_core.package import Golden
from handful_core.package.errors import GoldenError
from handful_core.vision.agreement import MAX_SCORE_GAP, compare_detections
from handful_core.vision.decode import decode_image
from handful_core.vision.detections import Detections

if TYPE_CHECKING:
    from handful_core.runtime.model import VisionModel


def check_golden(model: VisionModel, golden: Golden) -> None:
    """Let a model answer its golden image.

    Raises:
        GoldenError: the image cannot be read, or the answer is another.
    """
    try:
        pixels = decode_image((model.package.root / golden.image).read_bytes())
    except DataError as error:
        raise GoldenError(
            f"the golden image of model {model.manifest.name} cannot be read ({error.message})"
        ) from error
    answer = model.predict(pixels, confidence=golden.confidence - MAX_SCORE_GAP)
    if golden.probabilities is not None and answer.probabilities is not None:
        gap = float(np.max(np.abs(np.array(golden.probabilities, np.float32) - answer.probabilities)))
        agrees, how = gap <= MAX_SCORE_GAP, f"worst gap {gap:.4f}"
    else:
        expected = Detections(
            np.array([d.box for d in golden.detections], np.float32).reshape(-1, 4),
            np.array([d.confidence for d in golden.detections], np.float32),
            np.array([d.class_id for d in golden.detections], np.int64),
        )
        agreement = compare_detections(expected, answer.detections, golden.confidence)
        agrees, how = agreement.ok, str(agreement)
    if not agrees:
        raise GoldenError(
            f"model {model.manifest.name} does not give the expected answer on its golden image ({how})",
            "package it again with the ONNX Runtime version that serves it",
        )
