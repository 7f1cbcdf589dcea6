"""The model package: the only thing that training and serving share."""

from handful_core.package.archive import Package, open_package, write_package, zip_package
from handful_core.package.limits import (
    MAX_REFERENCE_BYTES,
    Calibration,
    ClassMaps,
    ExtraOutput,
    OutOfDistribution,
    PredictionSets,
)
from handful_core.package.manifest import (
    SCHEMA_VERSION,
    Dataset,
    FileEntry,
    Golden,
    GoldenDetection,
    Input,
    Manifest,
    Output,
    OutputLayout,
    Producer,
    ProfileSpec,
    SeenList,
    Thresholds,
)
from handful_core.package.precision import GoldenTolerance, Loss, ReducedPrecision
from handful_core.package.seen import SEEN_FILE, SeenImages, seen_by

__all__ = [
    "MAX_REFERENCE_BYTES",
    "SCHEMA_VERSION",
    "SEEN_FILE",
    "Calibration",
    "ClassMaps",
    "Dataset",
    "ExtraOutput",
    "FileEntry",
    "Golden",
    "GoldenDetection",
    "GoldenTolerance",
    "Input",
    "Loss",
    "Manifest",
    "OutOfDistribution",
    "Output",
    "OutputLayout",
    "Package",
    "PredictionSets",
    "Producer",
    "ProfileSpec",
    "ReducedPrecision",
    "SeenImages",
    "SeenList",
    "Thresholds",
    "open_package",
    "seen_by",
    "write_package",
    "zip_package",
]
