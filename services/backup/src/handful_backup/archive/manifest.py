"""`manifest.json`: what a backup holds, and the hash of each part."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Literal
from uuid import uuid4

from pydantic import BaseModel, ConfigDict, Field

FORMAT_VERSION = "1.0"
MANIFEST = "manifest.json"


class Member(BaseModel):
    """One file in the ZIP."""

    model_config = ConfigDict(frozen=True)

    size: int
    """Bytes, unpacked."""
    sha256: str
    rows: int | None = None
    """Of a table: its rows."""


class Manifest(BaseModel):
    """The last member of a backup; unknown fields of later versions are passed over."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    format: Literal["handful-backup"] = "handful-backup"
    format_version: str = FORMAT_VERSION
    """Major and minor: a reader takes any minor version of its own major one."""
    id: str = Field(default_factory=lambda: uuid4().hex)
    created: datetime = Field(default_factory=lambda: datetime.now(UTC))
    """When the server was read, in UTC."""
    way: Literal["exact", "portable"]
    handful_version: str
    mlflow_version: str = ""
    """Empty where the server did not answer."""
    schema_revision: str = ""
    """MLflow's database schema; empty where the server was read over REST."""
    source: str = ""
    """Where it was read from, without passwords."""
    selection: dict[str, list[str]] = {}
    """What the export was limited to; empty for all."""
    counts: dict[str, int] = {}
    """Rows of each table, artifact files and their bytes."""
    not_carried: dict[str, int] = {}
    """What the server has and the backup has not, with its count; -1 where it could not be counted."""
    not_kept: list[str] = []
    """Fields that the mode of this export could not see."""
    unreadable: list[str] = []
    """Artifacts that could not be reached or read, or changed again and again while they were read; places of which
    nothing could be reached."""
    base: str = ""
    """Id of the backup that this one adds to."""
    inherited: dict[str, Member] = {}
    """Artifacts that are unchanged since the base and lie there."""
    members: dict[str, Member] = {}
