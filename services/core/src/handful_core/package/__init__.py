"""The model package: the only thing that training and serving share."""

from handful_core.package.archive import Package, open_package, write_package, zip_package
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
    Thresholds,
)

__all__ = [
    "SCHEMA_VERSION",
    "Dataset",
    "FileEntry",
    "Golden",
    "GoldenDetection",
    "Input",
    "Manifest",
    "Output",
    "OutputLayout",
    "Package",
    "Producer",
    "Thresholds",
    "open_package",
    "write_package",
    "zip_package",
]
