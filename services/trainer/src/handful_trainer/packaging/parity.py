"""The parity gate: a package must find what its weights find."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from handful_core.console import progress
from handful_core.errors import RefusedError
from handful_core.package import OutputLayout
from handful_core.runtime.model import VisionModel
from handful_core.vision.agreement import MAX_SCORE_GAP, Agreement, compare_detections
from handful_core.vision.decode import Pixels, decode_image
from handful_core.vision.detections import Detections
from handful_core.vision.postprocess import PostprocessOptions
from handful_trainer.tasks.detection.export import NMS_OPTION

_SHOWN = 3


def check_parity(model: VisionModel, weights: Path, images: Sequence[Path]) -> Agreement:
    """Compare a package with the weights it was made from, on whole images, in pixels.

    Returns:
        The worst agreement of all images.

    Raises:
        RefusedError: an image gives other boxes; the worst are named.
    """
    reference = _Reference(model, weights)
    results: list[tuple[Path, Agreement]] = []
    with progress() as bar:
        for path in bar.track(images, description="comparing package and weights"):
            pixels = decode_image(path.read_bytes())
            results.append((path, _compare(model, reference, pixels)))
    failed = [(path, agreement) for path, agreement in results if not agreement.ok]
    if failed:
        failed.sort(key=lambda item: (-item[1].unmatched, item[1].worst_iou, -item[1].worst_score_gap))
        worst = "; ".join(f"{path.name}: {agreement}" for path, agreement in failed[:_SHOWN])
        raise RefusedError(
            f"the package answers otherwise than its weights on {len(failed)} of {len(images)} images ({worst})",
            "it is not registered; export it with another package.head, or with other versions of torch and onnx",
        )
    return _worst([agreement for _, agreement in results])


def _compare(model: VisionModel, reference: _Reference, pixels: Pixels) -> Agreement:
    confidence = model.manifest.thresholds.confidence
    options = model.postprocess_options(max(confidence - MAX_SCORE_GAP, 0.0))
    # Ultralytics suppresses across classes only where it suppresses: of other heads, the graph's own rows are compared.
    options = replace(options, class_agnostic=options.class_agnostic and model.manifest.output.head is OutputLayout.RAW)
    (found,) = model.detect(pixels, options)
    return compare_detections(reference.predict(pixels, options), found, confidence)


def _worst(agreements: Sequence[Agreement]) -> Agreement:
    return Agreement(
        matched=sum(a.matched for a in agreements),
        unmatched=sum(a.unmatched for a in agreements),
        worst_iou=min((a.worst_iou for a in agreements), default=1.0),
        worst_score_gap=max((a.worst_score_gap for a in agreements), default=0.0),
    )


class _Reference:
    """The weights, run by Ultralytics itself."""

    def __init__(self, model: VisionModel, weights: Path) -> None:
        from ultralytics import YOLO

        manifest = model.manifest
        self._yolo = YOLO(str(weights))
        self._arguments = {
            "imgsz": [manifest.input.height, manifest.input.width],
            "nms": False if NMS_OPTION[manifest.output.head] is False else None,
            "rect": False,
            "device": "cpu",
            "verbose": False,
        }

    def predict(self, pixels: Pixels, options: PostprocessOptions) -> Detections:
        limits = {
            "conf": options.confidence,
            "iou": options.iou,
            "max_det": options.max_detections,
            "agnostic_nms": options.class_agnostic,
        }
        boxes = self._yolo.predict(pixels, **limits, **self._arguments)[0].boxes
        return Detections(
            boxes.xyxy.numpy().astype(np.float32).reshape(-1, 4),
            boxes.conf.numpy().astype(np.float32),
            boxes.cls.numpy().astype(np.int64),
        )
