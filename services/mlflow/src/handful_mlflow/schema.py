"""Which revision of its database's schema the installed MLflow wants, told without loading MLflow."""

from __future__ import annotations

import re
from importlib.util import find_spec
from pathlib import Path

_ASSIGNED = re.compile(r"^(down_)?revision\b[^=\n]*=\s*[\"']([^\"']+)[\"']", re.MULTILINE)


def newest_revision() -> str | None:
    """The one that no other migration follows; None if that cannot be told, as when two do."""
    spec = find_spec("mlflow")
    if spec is None or spec.origin is None:
        return None
    folder = Path(spec.origin).parent / "store" / "db_migrations" / "versions"
    found = [match for path in folder.glob("*.py") for match in _ASSIGNED.findall(path.read_text(encoding="utf-8"))]
    heads = {name for down, name in found if not down} - {name for down, name in found if down}
    return heads.pop() if len(heads) == 1 else None
