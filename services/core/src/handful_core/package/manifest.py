"""The manifest of a model package: all that is needed to run a model, and to know where it came from.

Its JSON Schema is `manifest.schema.json` beside this file; `python -m handful_core.package.schema` writes it anew.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Any, Literal, Self

from pydantic import Field, field_validator, model_validator

from handful_core.package.fields import FileName, Part, Unit
from handful_core.package.limits import (
    MAX_REFERENCE_BYTES,
    Calibration,
    ClassMaps,
    ExtraOutput,
    OutOfDistribution,
    PredictionSets,
)
from handful_core.package.precision import ReducedPrecision

SCHEMA_VERSION = "1.2"
"""Major and minor. A reader refuses another major, and ignores fields that a later minor added."""


class OutputLayout(StrEnum):
    """How the graph's output is laid out.

    For `n` classes, `a` anchors and at most `k` detections:

    - `raw`: (1, 4 + n, a); centre x, centre y, width, height in input pixels, then a score per class. Needs NMS.
    - `nms_free`: (1, k, 6); x1, y1, x2, y2 in input pixels, score, class. One box per object by itself (YOLO26).
    - `nms_in_graph`: (1, k, 6) as above; NMS with baked thresholds is part of the graph.
    - `probabilities`: (1, n); classification, a softmax is part of the graph.
    - `logits`: (1, n); classification, before softmax.
    """

    RAW = "raw"
    NMS_FREE = "nms_free"
    NMS_IN_GRAPH = "nms_in_graph"
    PROBABILITIES = "probabilities"
    LOGITS = "logits"


DETECTION_LAYOUTS = frozenset({OutputLayout.RAW, OutputLayout.NMS_FREE, OutputLayout.NMS_IN_GRAPH})


class Input(Part):
    """The graph's input: one image, float32, (1, 3, height, width), planes in the order of `colour`.

    A pixel value p (0 to 255) of channel c becomes `(p * scale - mean[c]) / std[c]`.
    """

    name: str = "images"
    width: int = Field(ge=8, le=8192)
    height: int = Field(ge=8, le=8192)
    colour: Literal["rgb", "bgr"] = "rgb"
    resize: Literal["letterbox", "stretch", "crop"] = "letterbox"
    """letterbox: keep the aspect, centre, pad; stretch: ignore it; crop: fit the shorter side, cut the centre."""
    pad: int = Field(default=114, ge=0, le=255)
    """Grey value of the letterbox's border."""
    scale: float = 1 / 255
    mean: tuple[float, float, float] = (0.0, 0.0, 0.0)
    std: tuple[float, float, float] = (1.0, 1.0, 1.0)


class Output(Part):
    """The graph's output that is read, and others that may be."""

    name: str = "output0"
    head: OutputLayout
    shape: tuple[int, ...]
    embedding: ExtraOutput | None = None
    """(1, d): what the last layer of a classifier, or of a detector's backbone, sees of an image (schema 1.2)."""
    class_maps: ClassMaps | None = None
    """(1, classes, rows, columns): where in the image a classifier sees a class (schema 1.2)."""


class Thresholds(Part):
    """What a prediction uses unless the request says otherwise."""

    confidence: Unit = 0.25
    iou: Unit = 0.7
    """Boxes of one class that overlap by more than this are one object (raw heads; others with `class_agnostic`)."""
    class_agnostic: bool = False
    """Boxes that overlap so are one object whatever their classes and whatever the head; the surest stays."""
    max_detections: int = Field(default=300, ge=1)


class FileEntry(Part):
    """A file of the package."""

    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    size: int = Field(ge=0)


class GoldenDetection(Part):
    """A detection that the golden image must give."""

    class_id: int = Field(ge=0)
    confidence: Unit
    box: tuple[float, float, float, float]
    """x1, y1, x2, y2 in pixels of the golden image."""


class Golden(Part):
    """An image with its expected answer, run before a model goes live.

    A detector's answer is `detections`; a classifier's is `probabilities`, in the order of the classes.
    """

    image: FileName
    confidence: Unit = 0.25
    """The threshold at which the expected detections were made."""
    detections: tuple[GoldenDetection, ...] = ()
    probabilities: tuple[Unit, ...] | None = None


class Dataset(Part):
    """What the model was trained on."""

    name: str
    fingerprint: str
    images: dict[str, int] = Field(default={})
    """Images in each split."""
    reviewed: int = Field(default=0, ge=0)
    """Of these, captured pictures that people reviewed (schema 1.2)."""


class SeenList(Part):
    """The list of images that the model was trained or validated on: see `handful_core.package.seen`."""

    file: FileName = "seen.csv"
    images: int = Field(ge=0)
    """Lines of the list, less its heading."""
    complete: bool
    """False if the model may have seen other images too, such as those of a base model that has no list."""


class ProfileSpec(Part):
    """What the images were like that the model was accepted on: see `handful_core.profile`."""

    file: FileName = "profile.json"
    images: int = Field(ge=0)
    """Rows of the profile."""
    projection: FileName | None = None
    """(1 + directions, d) float16, as `numpy.save` writes it: the mean of embeddings of unit length, then directions at
    right angles, along which an embedding becomes few numbers."""
    directions: int = Field(default=0, ge=0, le=64)
    """Of the projection; 0 without one."""


class Producer(Part):
    """Who made the package."""

    handful: str
    versions: dict[str, str] = Field(default={})
    """Package name to version: torch, ultralytics, onnx and so on."""
    git_commit: str | None = None


class Manifest(Part):
    """`manifest.json`."""

    schema_version: str = Field(default=SCHEMA_VERSION, pattern=r"^\d+\.\d+$")
    name: str = Field(min_length=1)
    """The registered model's name."""
    task: Literal["detect", "classify"]
    architecture: str
    """Such as yolo11n."""
    classes: tuple[str, ...] = Field(min_length=1)
    """Class names; a class's id is its place."""
    counts: dict[str, int] = Field(default={})
    """What a detection of a class adds to the image's count. A class that is not named adds nothing."""
    input: Input
    output: Output
    thresholds: Thresholds = Thresholds()
    precision: Literal["fp32", "fp16", "int8"] = "fp32"
    precisions: tuple[ReducedPrecision, ...] = ()
    """Lower ones that it may be run in, since each was proved to lose next to nothing (schema 1.2)."""
    opset: int = Field(ge=9)
    model: FileName = "model.onnx"
    weights: FileName | None = None
    files: dict[FileName, FileEntry]
    """Every file of the package but the manifest itself."""
    golden: Golden | None = None
    dataset: Dataset | None = None
    seen: SeenList | None = None
    """The images that it has seen; None where nothing is known of them (schema 1.2)."""
    calibration: Calibration | None = None
    """Of a classifier's probabilities (schema 1.2)."""
    prediction_sets: PredictionSets | None = None
    """Which classes an image may well show, of a classifier (schema 1.2)."""
    out_of_distribution: OutOfDistribution | None = None
    """When an image is unlike the training images; the graph needs an embedding output (schema 1.2)."""
    profile: ProfileSpec | None = None
    """What images and answers were like on the validation and test splits (schema 1.2)."""
    metrics: dict[str, Any] = Field(default={})
    """Metrics on the test split, as `handful evaluate --json` prints them."""
    producer: Producer
    mlflow_run_id: str | None = None
    created: str
    """UTC, ISO 8601."""

    @field_validator("classes")
    @classmethod
    def _distinct(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if len(set(value)) != len(value):
            raise ValueError("class names must be distinct")
        return value

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if unknown := sorted(set(self.counts) - set(self.classes)):
            raise ValueError(f"counts name classes that do not exist: {', '.join(unknown)}")
        if (self.output.head in DETECTION_LAYOUTS) != (self.task == "detect"):
            raise ValueError(f"a model of task {self.task} cannot have a {self.output.head.value} output")
        golden, seen, unlike, profile = self.golden, self.seen, self.out_of_distribution, self.profile
        parts = [golden and golden.image, seen and seen.file, unlike and unlike.file]
        reduced = [file for each in self.precisions for file in each.files]
        named = [*parts, *reduced, profile and profile.file, profile and profile.projection]
        needed = [self.model, self.weights, *named]
        if missing := [name for name in needed if name and name not in self.files]:
            raise ValueError(f"files does not list {', '.join(missing)}")
        self._check_limits()
        self._check_precisions()
        if profile:
            self._check_profile(profile)
        if self.golden:
            self._check_golden(self.golden)
        return self

    def _check_limits(self) -> None:
        """What a classifier alone has, and what needs another part."""
        maps, unlike = self.output.class_maps, self.out_of_distribution
        if self.task != "classify" and (maps or self.calibration or self.prediction_sets):
            raise ValueError(f"calibration, prediction sets and class maps are no {self.task} model's")
        if maps and (len(maps.shape) != 4 or maps.shape[1] != len(self.classes)):
            raise ValueError(f"output.class_maps.shape is not (1, {len(self.classes)}, rows, columns)")
        if self.output.embedding and len(self.output.embedding.shape) != 2:
            raise ValueError("output.embedding.shape is not (1, d)")
        if unlike and not self.output.embedding:
            raise ValueError("out_of_distribution needs output.embedding")
        if unlike and self.files[unlike.file].size > MAX_REFERENCE_BYTES:
            raise ValueError(f"{unlike.file} is larger than {MAX_REFERENCE_BYTES} bytes")

    def _check_precisions(self) -> None:
        if self.precisions and self.precision != "fp32":
            raise ValueError(f"precisions are of FP32 packages, and this one is {self.precision}")
        if self.precisions and self.golden is None:
            raise ValueError("precisions need a golden image, to hold them to its answer")
        if any(each.model == self.model for each in self.precisions):
            raise ValueError("a reduced precision names the package's own graph as its")
        pairs = [(each.backend, each.precision) for each in self.precisions]
        if len(set(pairs)) != len(pairs):
            raise ValueError("precisions name the same backend and precision twice")

    def _check_profile(self, profile: ProfileSpec) -> None:
        if (profile.projection is None) != (profile.directions == 0):
            raise ValueError("profile.projection and profile.directions are given together or not at all")
        if profile.projection and not self.output.embedding:
            raise ValueError("profile.projection needs output.embedding")
        if profile.projection and self.files[profile.projection].size > MAX_REFERENCE_BYTES:
            raise ValueError(f"{profile.projection} is larger than {MAX_REFERENCE_BYTES} bytes")

    def _check_golden(self, golden: Golden) -> None:
        """An expected answer of another kind or length would be compared with nothing."""
        expected = len(golden.probabilities) if golden.probabilities is not None else None
        if expected != (len(self.classes) if self.task == "classify" else None):
            raise ValueError(f"golden gives {expected or 'no'} probabilities for a model of task {self.task}")
        if any(d.class_id >= len(self.classes) for d in golden.detections):
            raise ValueError("golden names a class that does not exist")

    @property
    def expected_shape(self) -> tuple[int | None, ...]:
        """The output's shape that head and classes ask for; None where any size fits."""
        n = len(self.classes)
        if self.output.head is OutputLayout.RAW:
            return (1, 4 + n, None)
        if self.output.head in DETECTION_LAYOUTS:
            return (1, None, 6)
        return (1, n)
