"""`origin.json`: the registry's version that a cached package was fetched for."""

from __future__ import annotations

import dataclasses
import json
import logging
from datetime import datetime
from pathlib import Path

from handful_core.registry.records import Version

_log = logging.getLogger(__name__)


def origin_text(record: Version) -> str:
    """The version as JSON. Aliases move, so they are left out."""
    fields = dataclasses.asdict(dataclasses.replace(record, aliases=()))
    fields["created"] = record.created.isoformat() if record.created else None
    return json.dumps(fields, indent=2, sort_keys=True)


def read_origin(path: Path) -> Version | None:
    """The version that `origin_text` wrote; None if it cannot be read: then the package is fetched again."""
    try:
        fields = json.loads(path.read_text(encoding="utf-8"))
        created = fields.pop("created")
        fields["aliases"] = ()
        return Version(**fields, created=datetime.fromisoformat(created) if created else None)
    except FileNotFoundError:  # Another process removed it.
        return None
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        _log.warning("%s cannot be read (%s)", path, error)
        return None
