"""Names of members: safe to unpack on every system, and checked again when read."""

from __future__ import annotations

import re
from pathlib import PurePosixPath
from urllib.parse import unquote

TABLES = "tables/"
ARTIFACTS = "artifacts/"

_UNSAFE = re.compile(r'[\x00-\x1f\x7f%\\:*?"<>|]')
_RESERVED = re.compile(r"(?i)^(con|prn|aux|nul|com\d|lpt\d)(\..*)?$")


def table_member(table: str) -> str:
    """The member that holds a table's rows."""
    return f"{TABLES}{table}.jsonl"


def artifact_member(kind: str, owner: str, path: str) -> str:
    """The member that holds an artifact of a run, logged model, trace or version."""
    return "/".join([ARTIFACTS.rstrip("/"), kind, _quoted(owner), *map(_quoted, path.split("/"))])


def parse_artifact(member: str) -> tuple[str, str, str]:
    """Kind, owner and path of an artifact's member."""
    _, kind, owner, *path = member.split("/")
    return kind, unquote(owner), "/".join(map(unquote, path))


def is_artifact(member: str) -> bool:
    """Whether a member is an artifact."""
    return member.startswith(ARTIFACTS)


def is_safe(member: str) -> bool:
    """Whether a member's name stays inside the folder that it is unpacked to, on every system."""
    parts = member.split("/")
    inside = not PurePosixPath(member).is_absolute() and all(parts) and not {".", ".."} & set(parts)
    if not inside or "\\" in member or ":" in member or "\x00" in member:
        return False
    if not member.startswith(ARTIFACTS):
        return True
    # Unquoted, the parts become paths below an artifact store's folder: `%2e%2e` would be `..`.
    return len(parts) >= 4 and all(_is_plain(part) for part in map(unquote, parts[2:]))


def _is_plain(part: str) -> bool:
    return part not in {"", ".", ".."} and "/" not in part and "\x00" not in part


def _quoted(part: str) -> str:
    """A name with what some systems forbid percent-encoded; `/` too: it is one part of a path."""
    text = "".join(_percent(c) if _UNSAFE.fullmatch(c) or c == "/" else c for c in part)
    if _RESERVED.match(text):  # Windows opens a device under such a name, whatever comes after a dot.
        return _percent(text[0]) + text[1:]
    if text.endswith((".", " ")):  # Windows drops them silently: two names would become one.
        return text[:-1] + _percent(text[-1])
    return text


def _percent(character: str) -> str:
    return "".join(f"%{byte:02X}" for byte in character.encode("utf-8", "surrogateescape"))
