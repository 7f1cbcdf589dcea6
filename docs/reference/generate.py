"""Write the reference of commands, configuration and settings from the code: `python docs/reference/generate.py`.

A test compares the pages with what this writes, so they are never out of date.
"""

from __future__ import annotations

import textwrap
import types
import typing
from collections.abc import Iterator, Sequence
from enum import Enum
from pathlib import Path
from typing import Any

import typer
from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings

from handful_backup.settings import BackupSettings
from handful_core.cli.main import build_app
from handful_core.errors import (
    ConfigError,
    DataError,
    HandfulError,
    NotFoundError,
    PackageError,
    RefusedError,
    ResourceError,
    UnavailableError,
)
from handful_core.settings import CoreSettings
from handful_monitor.settings import MonitorSettings
from handful_serving.settings import ServingSettings
from handful_trainer.dataset.picsellia.settings import PicselliaSettings
from handful_trainer.tasks.classification.settings import ClassificationConfig
from handful_trainer.tasks.detection.settings import DetectionConfig

FOLDER = Path(__file__).parent
_GENERATED = "<!-- Generated from the code by docs/reference/generate.py. Don't edit it by hand. -->"
_SETTINGS: dict[type[BaseSettings], str] = {
    CoreSettings: "All commands",
    ServingSettings: "Serving",
    MonitorSettings: "Monitor",
    BackupSettings: "Backup",
    PicselliaSettings: "Picsellia",
}
_EXITS = {
    "0": "Done.",
    "70": "A bug in Handful. Please report it, with the output of `--debug`.",
    "130": "You interrupted it.",
}
_ERRORS: tuple[type[HandfulError], ...] = (
    HandfulError,
    ConfigError,
    DataError,
    PackageError,
    UnavailableError,
    ResourceError,
    NotFoundError,
    RefusedError,
)


def commands_page() -> str:
    """Every command with its arguments and options."""
    parts = [
        _GENERATED,
        "# Commands",
        "Every command takes `--help`. An error is one line that says what is wrong and what to do.",
        _exit_codes(),
    ]
    for words, command in _commands(typer.main.get_command(build_app())):
        if not _children(command):
            parts += [f"## `{' '.join(('handful', *words))}`", _paragraph(command.help or ""), _options(command)]
    return _page(parts)


def configuration_page() -> str:
    """Every key of a training's configuration, for each task."""
    parts = [
        _GENERATED,
        "# Configuration",
        "One YAML file describes a training. `handful train --config FILE --print-config` prints it with all defaults.",
    ]
    for title, config in (("Detection", DetectionConfig), ("Classification", ClassificationConfig)):
        parts.append(f"## {title} (`task: {config.task}`)")
        for name, field in config.model_fields.items():
            if section := _section(field):
                parts += [f"### `{name}`", _paragraph(section.__doc__ or ""), _keys(section)]
    return _page(parts)


def settings_page() -> str:
    """Every environment variable that the services read."""
    parts = [
        _GENERATED,
        "# Settings",
        "Services and commands read these environment variables. An empty one means its default.",
    ]
    for settings, title in _SETTINGS.items():
        prefix = settings.model_config.get("env_prefix", "")
        rows = [
            (f"`{prefix}{name}`".upper(), _default(field), _plain(field.description or ""))
            for name, field in settings.model_fields.items()
        ]
        parts += [f"## {title}", _table(("variable", "default", "what it does"), rows)]
    return _page(parts)


PAGES = {"commands.md": commands_page, "configuration.md": configuration_page, "settings.md": settings_page}


def _commands(command: Any, words: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    yield words, command
    for name, inner in sorted(_children(command).items()):
        if not inner.hidden:
            yield from _commands(inner, (*words, name))


def _children(command: Any) -> dict[str, Any]:
    return getattr(command, "commands", {})


def _exit_codes() -> str:
    errors = {str(error.exit_code): _plain((error.__doc__ or "").split("\n\n")[0]) for error in _ERRORS[1:]}
    rows = sorted({**_EXITS, "1": "Failed for another reason.", **errors}.items(), key=lambda row: int(row[0]))
    return _table(("exit code", "meaning"), [(f"`{code}`", meaning) for code, meaning in rows])


def _options(command: Any) -> str:
    rows: list[tuple[str, ...]] = []
    for parameter in command.params:
        if parameter.param_type_name == "option":
            if parameter.hidden or parameter.name == "help":
                continue
            names = ", ".join(f"`{name}`" for name in (*parameter.opts, *parameter.secondary_opts))
            rows.append((names, "required" if parameter.required else _value(parameter.default), parameter.help or ""))
        else:
            told = getattr(parameter, "help", None) or ""
            rows.append((f"`{(parameter.name or '').upper()}`", "required" if parameter.required else "", told))
    return _table(("option", "default", "what it does"), rows) if rows else ""


def _keys(section: type[BaseModel], prefix: str = "") -> str:
    return _table(("key", "type", "default", "what it does"), list(_key_rows(section, prefix)))


def _key_rows(section: type[BaseModel], prefix: str) -> Iterator[tuple[str, ...]]:
    for name, field in section.model_fields.items():
        if inner := _section(field):
            yield from _key_rows(inner, f"{prefix}{name}.")
        else:
            yield f"`{prefix}{name}`", _type(field.annotation), _default(field), _plain(field.description or "")


def _section(field: FieldInfo) -> type[BaseModel] | None:
    kind = field.annotation
    return kind if isinstance(kind, type) and issubclass(kind, BaseModel) else None


def _type(kind: Any) -> str:
    """A type in words: `number`, `text`, `raw or nms_free`."""
    origin = typing.get_origin(kind)
    if origin is typing.Annotated:
        return _type(typing.get_args(kind)[0])
    if origin is typing.Literal:
        return " or ".join(f"`{_literal(value)}`" for value in typing.get_args(kind))
    if origin in (typing.Union, types.UnionType):
        return " or ".join(dict.fromkeys(_type(part) for part in typing.get_args(kind) if part is not type(None)))
    if origin in (list, tuple, set, frozenset):
        return "list"
    if origin is not None and isinstance(origin, type):
        return "mapping"
    if isinstance(kind, type) and issubclass(kind, Enum):
        return " or ".join(f"`{member.value}`" for member in kind)
    words = {bool: "`true` or `false`", int: "whole number", float: "number", str: "text", Path: "path"}
    return words.get(kind, getattr(kind, "__name__", str(kind)).lower())


def _literal(value: object) -> str:
    text = str(value).lower() if isinstance(value, bool) else str(value)
    return text.replace("\t", "\\t") or '""'


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "required"
    return _value(field.default if field.default_factory is None else None)


def _value(value: Any) -> str:
    if value in (None, (), "") or callable(value) or isinstance(value, BaseModel):
        return ""
    if isinstance(value, Enum):
        value = value.value
    if isinstance(value, bool):
        return f"`{_literal(value)}`"
    if isinstance(value, (list, tuple, set, frozenset)):
        return f"`{', '.join(str(item) for item in value)}`"
    return f"`{value}`"


def _plain(text: str) -> str:
    """A docstring's first paragraphs as one line."""
    return " ".join(text.split("Args:", maxsplit=1)[0].replace("\f", " ").split())


def _paragraph(text: str) -> str:
    return textwrap.fill(_plain(text), 118, break_on_hyphens=False, break_long_words=False)


def _table(head: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    lines = [head, tuple("---" for _ in head), *rows]
    return "\n".join("| " + " | ".join(_cell(cell) for cell in line) + " |" for line in lines)


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|").replace("<", "&lt;")


def _page(parts: list[str]) -> str:
    return "\n\n".join(part for part in parts if part) + "\n"


if __name__ == "__main__":
    for file, page in PAGES.items():
        (FOLDER / file).write_text(page(), encoding="utf-8", newline="\n")
