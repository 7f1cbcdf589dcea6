"""What the registry holds."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from handful_core.errors import ConfigError

CHAMPION = "champion"
"""The alias of the version that is served."""
PREVIOUS = "previous"
"""The alias of the version that was champion before."""

SOURCE_VERSION = "handful.source_version"
"""The tag of versions that an import created: their name and number in the backup."""
ROLLED_BACK = "handful.rolled_back_to"
"""The tag of a version that a rollback replaced: the version that replaced it. Empty once it is promoted again."""

_REFERENCE = re.compile(r"models:/(?P<name>[^/@]+)(?:@(?P<alias>[^/@]+)|/(?P<version>\d+))")


@dataclass(frozen=True, slots=True)
class Version:
    """One version of a registered model."""

    name: str
    version: int
    aliases: tuple[str, ...] = ()
    run_id: str | None = None
    model_id: str | None = None
    source: str = ""
    description: str = ""
    tags: Mapping[str, str] = field(default_factory=dict)
    created: datetime | None = None

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Version:
        """Read MLflow's ModelVersion."""
        return cls(
            name=data["name"],
            version=int(data["version"]),
            aliases=tuple(data.get("aliases", ())),
            run_id=data.get("run_id") or None,
            model_id=data.get("model_id") or None,
            source=data.get("source", ""),
            description=data.get("description", ""),
            tags={tag["key"]: tag["value"] for tag in data.get("tags", ())},
            created=_time(data.get("creation_timestamp")),
        )


@dataclass(frozen=True, slots=True)
class RegisteredModel:
    """A registered model and where its aliases point."""

    name: str
    aliases: Mapping[str, int]
    created: datetime | None = None
    """Tells a model from one of the same name that was deleted."""

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> RegisteredModel:
        """Read MLflow's RegisteredModel."""
        aliases = {a["alias"]: int(a["version"]) for a in data.get("aliases", ())}
        return cls(data["name"], aliases, _time(data.get("creation_timestamp")))


def _time(milliseconds: Any) -> datetime | None:
    return datetime.fromtimestamp(int(milliseconds) / 1000, UTC) if milliseconds else None


def parse_reference(reference: str) -> tuple[str, str | int]:
    """Split `models:/name@alias` or `models:/name/3` into the name, and the alias or version.

    Raises:
        ConfigError: it is neither.
    """
    match = _REFERENCE.fullmatch(reference)
    if match is None:
        raise ConfigError(f"{reference!r} does not name a model", "write models:/NAME@ALIAS or models:/NAME/VERSION")
    version = match["version"]
    return match["name"], int(version) if version else match["alias"]
