"""What the images were like that a model was accepted on: `profile.json` in its package.

    {"schema": 1, "task": "detect", "features": [{"name": "brightness", "kind": "continuous"}, …],
    "columns": {"brightness": [0.41, …], …}, "rows": 300, "splits": {"val": 200, "test": 100}}

A column has one value for each image: those of the first split first, in the order of `splits`. Classes are written by
name. There are no pixels in it, and no names of files.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from handful_core.files import write_atomically
from handful_core.package.archive import Package
from handful_core.package.errors import DamagedPackageError
from handful_core.package.fields import Finite
from handful_core.package.manifest import ProfileSpec
from handful_core.profile.features import Feature, FeatureValue

PROFILE_FILE = "profile.json"
_MAX_BYTES = 64 << 20
"""A hundred thousand images of a hundred features; more than this is a mistake or an attack."""
_Number = Annotated[int, Field(strict=True, ge=-(2**53), le=2**53)] | Annotated[Finite, Field(strict=True)]
_Word = Annotated[str, Field(strict=True, max_length=1000)]
_Value = _Number | _Word | None


class _Feature(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")

    name: str = Field(min_length=1, max_length=1000)
    kind: Literal["continuous", "count", "category"]


class _Document(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore", populate_by_name=True)

    version: Literal[1] = Field(alias="schema")
    task: Literal["detect", "classify"]
    features: tuple[_Feature, ...] = Field(min_length=1, max_length=10_000)
    columns: dict[str, tuple[_Value, ...]]
    rows: int = Field(ge=0)
    splits: dict[str, Annotated[int, Field(ge=0)]]

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        names = [feature.name for feature in self.features]
        if len(set(names)) != len(names) or set(names) != set(self.columns):
            raise ValueError("features and columns are not the same")
        if any(len(column) != self.rows for column in self.columns.values()) or sum(self.splits.values()) != self.rows:
            raise ValueError(f"a column or the splits do not have {self.rows} rows")
        for feature in self.features:
            wanted = str if feature.kind == "category" else (int, float)
            if not all(value is None or isinstance(value, wanted) for value in self.columns[feature.name]):
                raise ValueError(f"{feature.name} is not all {feature.kind}")
        return self


@dataclass(frozen=True, slots=True)
class Profile:
    """The features of the images that a model was accepted on."""

    task: str
    features: tuple[Feature, ...]
    columns: Mapping[str, Sequence[FeatureValue]]
    """Values by a feature's name, one for each image."""
    splits: Mapping[str, int]
    """Images of each split, in the order of the rows."""

    @classmethod
    def of_rows(
        cls, task: str, features: Sequence[Feature], rows: Mapping[str, Sequence[Mapping[str, FeatureValue]]]
    ) -> Self:
        """Put rows together.

        Args:
            task: the package's.
            features: of every row.
            rows: of each split.
        """
        flat = [row for split in rows.values() for row in split]
        columns = {feature.name: [row[feature.name] for row in flat] for feature in features}
        return cls(task, tuple(features), columns, {split: len(found) for split, found in rows.items()})

    @property
    def rows(self) -> int:
        """Images."""
        return sum(self.splits.values())

    def write(self, folder: Path, name: str = PROFILE_FILE) -> None:
        """Write it into a package's folder."""
        content: dict[str, Any] = {
            "schema": 1,
            "task": self.task,
            "features": [feature._asdict() for feature in self.features],
            "columns": {name: list(column) for name, column in self.columns.items()},
            "rows": self.rows,
            "splits": dict(self.splits),
        }
        text = json.dumps(content, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
        write_atomically(folder / name, text + "\n")


def profile_of(package: Package) -> Profile | None:
    """What a package knows of the images that it was accepted on; None where it knows nothing.

    Raises:
        PackageError: its profile is not one.
    """
    spec = package.manifest.profile
    return None if spec is None else read_profile(package.root, spec)


def read_profile(folder: Path, spec: ProfileSpec) -> Profile:
    """Read a profile that somebody else may have written.

    Args:
        folder: where it lies.
        spec: what the manifest says of it.

    Raises:
        PackageError: it is missing, too large, no profile, or of another number of images.
    """
    path = folder / spec.file
    try:
        document = _Document.model_validate_json(_bytes(path))
    except ValidationError as error:
        first = error.errors(include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"][:3])
        raise _damaged(path, f"is no profile ({where}: {first['msg']})" if where else first["msg"]) from error
    if document.rows != spec.images:
        raise _damaged(path, f"has {document.rows} rows, the manifest says {spec.images}")
    features = tuple(Feature(feature.name, feature.kind) for feature in document.features)
    return Profile(document.task, features, document.columns, document.splits)


def _bytes(path: Path) -> bytes:
    try:
        if path.stat().st_size > _MAX_BYTES:
            raise _damaged(path, f"is larger than {_MAX_BYTES >> 20} MiB")
        return path.read_bytes()
    except OSError as error:
        raise _damaged(path, f"cannot be read ({error.strerror})") from error


def _damaged(path: Path, what: str) -> DamagedPackageError:
    return DamagedPackageError(
        f"{path.name}, the profile in {path.parent}, {what}", "make or download the package again"
    )
