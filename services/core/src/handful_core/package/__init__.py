"""The model package: the only thing that training and serving share."""

from handful_core.package.archive import Package, open_package, write_package, zip_package
from handful_core.package.manifest import (
    SCHEMA_VERSION,
    Dataset,
    FileEntry,
    Golden,
    GoldenDetection,
    Head,
    Input,
    Manifest,
    Output,
    Producer,
    Thresholds,
)

__all__ = [
    "SCHEMA_VERSION",
    "Dataset",
    "FileEntry",
    "Golden",
    "GoldenDetection",
    "Head",
    "Input",
    "Manifest",
    "Output",
    "Package",
    "Producer",
    "Thresholds",
    "open_package",
    "write_package",
    "zip_package",
]
