"""What the parts of a manifest are made of."""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field


def _plain_name(value: str) -> str:
    path = PurePosixPath(value)
    if path.is_absolute() or ".." in path.parts or "\\" in value or not path.parts or value != str(path):
        raise ValueError(f"{value!r} is not a plain relative path")
    return value


FileName = Annotated[str, AfterValidator(_plain_name)]
Unit = Annotated[float, Field(ge=0, le=1)]
Finite = Annotated[float, Field(allow_inf_nan=False)]


class Part(BaseModel):
    """A part of a manifest. Fields that a later minor version added are ignored."""

    model_config = ConfigDict(frozen=True, extra="ignore")
