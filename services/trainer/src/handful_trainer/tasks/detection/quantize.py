"""INT8 variants of a package: calibrated on training images, taken only if they are as good and faster here."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from handful_core.console import progress
from handful_core.package import SCHEMA_VERSION, Package, seen_by, write_package
from handful_core.package.archive import describe_files
from handful_core.runtime.benchmark import measure_in_turns
from handful_core.runtime.model import VisionModel, load_model
from handful_core.vision.decode import Pixels, decode_image
from handful_trainer.dataset.image_hashes import seen_images
from handful_trainer.dataset.prepared import PreparedDataset
from handful_trainer.packaging.golden import golden_images, write_golden
from handful_trainer.packaging.profile import with_profile
from handful_trainer.packaging.quantization import calibration_images, quantize_by_onnxruntime
from handful_trainer.tasks.detection.evaluate import Evaluation, evaluate
from handful_trainer.tasks.detection.limits import fit_limits

MAX_LOSS = 0.01
"""mAP@0.5:0.95 that an INT8 variant may lose."""
_ROUNDS = 40
_WARM_UP = 5


@dataclass(frozen=True, slots=True)
class Int8Variant:
    """An INT8 package beside the FP32 one it was made from."""

    package: Package
    evaluation: Evaluation
    """Of the INT8 package on the test split."""
    original: Evaluation
    ms: float
    """Median time of a prediction with all processors."""
    original_ms: float
    bytes: int
    """Size of the graph."""
    original_bytes: int

    @property
    def loss(self) -> float:
        """mAP@0.5:0.95 that is lost."""
        return self.original.mAP50_95 - self.evaluation.mAP50_95

    @property
    def reason(self) -> str:
        """Why it is not to be taken; empty if it is."""
        if self.loss > MAX_LOSS:
            return f"it loses {self.loss:.4f} mAP@0.5:0.95, more than {MAX_LOSS}"
        if self.ms >= self.original_ms:
            return f"it takes {self.ms:.1f} ms here, and FP32 {self.original_ms:.1f} ms"
        return ""

    def rows(self) -> list[tuple[str, str, str]]:
        """A table: what, FP32, INT8."""
        return [
            ("mAP@0.5:0.95", f"{self.original.mAP50_95:.4f}", f"{self.evaluation.mAP50_95:.4f}"),
            ("mAP@0.5", f"{self.original.mAP50:.4f}", f"{self.evaluation.mAP50:.4f}"),
            ("ms per image", f"{self.original_ms:.2f}", f"{self.ms:.2f}"),
            ("graph, MB", f"{self.original_bytes / 1e6:.1f}", f"{self.bytes / 1e6:.1f}"),
        ]

    def as_json(self) -> dict[str, Any]:
        """What `handful package --json` prints of it."""
        return {
            "mAP50_95": {"fp32": self.original.mAP50_95, "int8": self.evaluation.mAP50_95},
            "ms": {"fp32": self.original_ms, "int8": self.ms},
            "bytes": {"fp32": self.original_bytes, "int8": self.bytes},
        }


def quantize(package: Package, dataset: PreparedDataset, folder: Path, images: int = 128) -> Int8Variant:
    """Make an INT8 variant of a package and measure both.

    Weights and activations become 8-bit integers (static, QDQ, per channel); the head, whose outputs are boxes in
    pixels beside scores from 0 to 1, stays FP32.

    Args:
        package: FP32.
        dataset: its training split calibrates, its validation split gives the golden image, its test split judges.
        folder: where the variant goes; what is there is replaced.
        images: how many training images calibrate.
    """
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    manifest = package.manifest
    # Calibrating is a training, too: what calibrates has been seen.
    seen = (seen_by(package) | seen_images(dataset)).write(folder)
    quantize_by_onnxruntime(package, folder / manifest.model, calibration_images(dataset, images))
    plain = manifest.model_copy(
        update={
            "schema_version": SCHEMA_VERSION,
            "precision": "int8",
            "precisions": (),
            "weights": None,
            "golden": None,
            "seen": seen,
            "profile": None,
            "out_of_distribution": None,
            "files": describe_files(folder),
            "metrics": {},
        }
    )
    variant = load_model(write_package(folder, plain))
    plain = plain.model_copy(update=fit_limits(variant, dataset))  # Of its own embeddings, which are others.
    golden = write_golden(variant, golden_images(dataset), folder)
    plain = plain.model_copy(update={"golden": golden, "files": describe_files(folder)})
    variant = load_model(write_package(folder, plain))
    evaluation = evaluate(variant, dataset, "test")
    original = load_model(package)
    judged = evaluate(original, dataset, "test")
    ms, original_ms = _median_ms(variant, original, decode_image(evaluation.example.read_bytes()))
    written = with_profile(write_package(folder, plain.model_copy(update={"metrics": evaluation.as_json()})), dataset)
    sizes = written.model_path.stat().st_size, package.model_path.stat().st_size
    return Int8Variant(written, evaluation, judged, ms, original_ms, *sizes)


def _median_ms(one: VisionModel, other: VisionModel, pixels: Pixels) -> tuple[float, float]:
    """Median milliseconds of a prediction, of both."""
    works = [partial(model.predict, pixels) for model in (one, other)]
    with progress() as bar:
        task = bar.add_task("timing INT8 and FP32", total=_WARM_UP + _ROUNDS)
        first, second = measure_in_turns(works, warm_up=_WARM_UP, rounds=_ROUNDS, after_round=lambda: bar.advance(task))
    return first.median, second.median
