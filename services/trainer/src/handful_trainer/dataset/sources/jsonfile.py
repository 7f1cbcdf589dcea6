"""JSON files from outside, with errors that say where they are wrong."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from handful_trainer.dataset.errors import DamagedFileError, MissingSourceError


def read_json(path: Path, what: str) -> Any:
    """Read a JSON file.

    Args:
        path: the file.
        what: what it holds, for the error line.

    Raises:
        MissingSourceError: it does not exist.
        DamagedFileError: it is no JSON; the line names the place.
    """
    try:
        return json.loads(path.read_bytes())
    except (FileNotFoundError, NotADirectoryError):
        raise MissingSourceError(f"{path} is missing", f"it holds {what}; name the folder that has it") from None
    except IsADirectoryError:
        raise MissingSourceError(f"{path} is a folder", f"it should be the file that holds {what}") from None
    except json.JSONDecodeError as error:
        place = f"line {error.lineno}, column {error.colno}"
        raise DamagedFileError(f"{path} is no valid JSON: {error.msg} at {place}", "export it again") from None
    except UnicodeDecodeError as error:
        raise DamagedFileError(f"{path} is no valid JSON: byte {error.start} is no UTF-8", "export it again") from None
    except RecursionError:
        raise DamagedFileError(f"{path} is nested too deeply", "export it again") from None


def kind_of(value: object) -> str:
    """A JSON value's type in words, for error lines."""
    names = {dict: "an object", list: "a list", str: "a text", bool: "true or false", type(None): "null"}
    return names.get(type(value), "a number")
