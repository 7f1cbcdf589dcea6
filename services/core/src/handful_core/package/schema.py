"""The manifest's JSON Schema, for readers in other languages."""

from __future__ import annotations

import json
from pathlib import Path

from handful_core.files import write_atomically
from handful_core.package.manifest import Manifest

SCHEMA_FILE = Path(__file__).with_name("manifest.schema.json")


def schema_text() -> str:
    """The schema as it is committed: a test holds the file to this."""
    return json.dumps(Manifest.model_json_schema(), indent=2, sort_keys=True) + "\n"


if __name__ == "__main__":
    write_atomically(SCHEMA_FILE, schema_text())
