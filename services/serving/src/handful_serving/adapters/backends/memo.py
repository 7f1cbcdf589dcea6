"""The choices that were made, in a file: a package is not measured at every start."""

from __future__ import annotations

import json
import logging
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from handful_serving.domain.backends import Choice

_log = logging.getLogger(__name__)
_KEPT = 200
_CHOICE = TypeAdapter(Choice)


class Memo:
    """Choices by what was measured. Several processes may share the file; the last one that writes wins.

    Args:
        path: the file; it is made when there is something to note.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def find(self, key: str) -> Choice | None:
        """What was chosen for this key."""
        try:
            return _CHOICE.validate_python(self._read().get(key))
        except ValidationError:  # Not noted yet, or not in this form: it is measured.
            return None

    def note(self, key: str, choice: Choice) -> None:
        """Remember a choice, if the file can be written: else it is made again at the next start."""
        noted = self._read()
        noted.pop(key, None)
        noted[key] = asdict(choice)
        kept = dict(list(noted.items())[-_KEPT:])
        try:
            with tempfile.NamedTemporaryFile("w", dir=self._path.parent, delete=False, encoding="utf-8") as file:
                json.dump(kept, file, indent=2)
            Path(file.name).chmod(0o644)
            Path(file.name).replace(self._path)
        except OSError as error:
            _log.warning("which backend was chosen cannot be noted in %s (%s)", self._path, error)

    def _read(self) -> dict[str, Any]:
        try:
            noted = json.loads(self._path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return {}
        except (OSError, ValueError) as error:
            _log.warning("the noted backends in %s cannot be read (%s)", self._path, error)
            return {}
        return noted if isinstance(noted, dict) else {}
