"""What can be wrong with a dataset, and with the place that it is written to."""

from __future__ import annotations

from pathlib import Path

from handful_core.errors import ConfigError, DataError, ResourceError


class MissingSourceError(DataError):
    """A folder or file that the source needs is not there."""


def check_folder(folder: Path, setting: str) -> None:
    """See that a folder is there.

    Args:
        folder: of images, or of a whole source.
        setting: what names it.

    Raises:
        MissingSourceError: it is not, or it is a file.
    """
    if folder.is_file():
        raise MissingSourceError(f"{folder} is a file, and a folder is needed", f"correct {setting}")
    if not folder.is_dir():
        raise MissingSourceError(f"the folder {folder} does not exist", f"correct {setting}")


class DamagedFileError(DataError):
    """A file of the source is not what it should be as a whole: no JSON, no YAML, another shape."""


class AnnotationError(DataError):
    """One entry of an annotation file is wrong; the line names the file and the asset."""


class UnknownLabelError(DataError):
    """Boxes carry a label that is not one of the configured classes."""


class EmptyDatasetError(DataError):
    """Nothing is left to train on."""


class OutputExistsError(ConfigError):
    """The output folder holds something that is not overwritten."""


class DiskSpaceError(ResourceError):
    """The disk has less room than the dataset needs."""


class AccountingError(DataError):
    """Something that a source found is neither used nor left out under a reason: a defect of the source's code."""
