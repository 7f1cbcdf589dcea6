"""Reading a configuration file, with overrides and error lines that name the key."""

from __future__ import annotations

import difflib
import typing
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ValidationError

from handful_core.errors import ConfigError
from handful_trainer.config.settings import TrainingConfig
from handful_trainer.dataset.settings import DatasetConfig
from handful_trainer.tasks import DEFAULT, engine_of, get_task
from handful_trainer.yaml_core import YamlError, load_core

_TASK = "task"
"""The key that names the task of a configuration."""


def load_config(path: Path, overrides: Sequence[str] = ()) -> TrainingConfig:
    """Read a training's configuration.

    Args:
        path: a YAML file.
        overrides: `a.b=value`, the value in YAML; later ones win.

    Raises:
        ConfigError: no such file, no YAML, an unknown key (the nearest right one is named), or a value that is wrong.
    """
    content = _content(path, overrides)
    return _validated(engine_of(str(content.pop(_TASK, DEFAULT))).config, content, path)


def load_dataset_config(path: Path, overrides: Sequence[str] = ()) -> tuple[str, DatasetConfig]:
    """Read what a training's configuration says of its data: a task that cannot be trained here has data all the same.

    Args:
        path: a YAML file.
        overrides: as for `load_config`.

    Returns:
        The task's name, and the section `dataset`. Where the task has an engine, all other settings are checked, too.

    Raises:
        ConfigError: see `load_config`.
    """
    content = _content(path, overrides)
    task = get_task(str(content.pop(_TASK, DEFAULT)))
    if task.engine is not None:
        return task.name, _validated(task.engine.config, content, path).dataset
    return task.name, _validated(_DatasetOnly, content, path).dataset


class _DatasetOnly(BaseModel):
    """A configuration of which the section `dataset` alone is known."""

    dataset: DatasetConfig


def _content(path: Path, overrides: Sequence[str]) -> dict[str, Any]:
    content = read_yaml(path, "configuration file", "settings", "configs/fingers.yaml")
    for override in overrides:
        _apply(content, override)
    return content


def _validated(kind: type[_Model], content: Mapping[str, Any], path: Path) -> _Model:
    try:
        return kind.model_validate(content)
    except ValidationError as error:
        raise explained(error, path, kind) from None


def with_values(config: TrainingConfig, values: Mapping[str, Any]) -> TrainingConfig:
    """A configuration with other values, by dotted keys.

    Raises:
        ConfigError: an unknown key, or a value that does not fit.
    """
    known = flatten(config.model_dump(mode="json"))
    # What was not written stays so.
    content = config.model_dump(mode="json", exclude_unset=True)
    for key, value in values.items():
        if key not in known:
            near = _nearest(key.split("."), type(config))
            raise ConfigError(f"there is no setting {key}", f"did you mean {near}?" if near else "see --print-config")
        *parents, last = key.split(".")
        place = content
        for parent in parents:
            place = place.setdefault(parent, {})
        place[last] = value
    try:
        return type(config).model_validate(content)
    except ValidationError as error:
        raise explained(error, Path("options"), type(config)) from None


def to_yaml(config: TrainingConfig) -> str:
    """The whole configuration, defaults included, as a file that `load_config` reads."""
    return yaml.safe_dump(settings_of(config), sort_keys=False, allow_unicode=True)


def settings_of(config: TrainingConfig) -> dict[str, Any]:
    """All settings, and the task where it is not the usual one: runs log them."""
    task = {} if config.task == DEFAULT else {_TASK: config.task}
    return task | config.model_dump(mode="json")


def read_yaml(path: Path, what: str, content: str, example: str) -> dict[str, Any]:
    """Read a file that holds a mapping.

    Args:
        path: the file.
        what: it is: a configuration file.
        content: what it should hold: settings.
        example: a file that is right.

    Raises:
        ConfigError: no such file, no YAML, or no mapping.
    """
    try:
        found = load_core(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ConfigError(f"the {what} {path} does not exist", f"see {example} for an example") from None
    except IsADirectoryError:
        raise ConfigError(f"{path} is a folder", f"name a {what}, such as {example}") from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"the {what} {path} cannot be read ({error})", "write it as text in UTF-8") from None
    except YamlError as error:
        raise ConfigError(f"{path} is not valid YAML ({error})", "correct it") from None
    if not isinstance(found, dict):
        raise ConfigError(f"{path} holds no {content}", f"see {example} for an example")
    return found


def _apply(content: dict[str, Any], override: str) -> None:
    key, separator, value = override.partition("=")
    if not separator or not all(key.split(".")):
        raise ConfigError(f"--set {override} cannot be read", "write --set section.key=value")
    *parents, last = key.split(".")
    place = content
    for parent in parents:
        inner = place.setdefault(parent, {})
        if not isinstance(inner, dict):
            raise ConfigError(
                f"--set {override}: {parent} is a value, not a section", "see handful train --print-config"
            )
        place = inner
    try:
        place[last] = load_core(value)
    except YamlError as error:
        raise ConfigError(f"--set {override}: the value is not valid YAML ({error})", "quote it") from None


def explained(error: ValidationError, path: Path, kind: type[BaseModel]) -> ConfigError:
    """The first thing that is wrong with a file's settings, in one line."""
    first = error.errors(include_url=False)[0]
    location = [str(part) for part in first["loc"]]
    key = ".".join(location)
    more = f" (and {error.error_count() - 1} more)" if error.error_count() > 1 else ""
    if first["type"] == "extra_forbidden":
        near = _nearest(location, kind)
        hint = f"did you mean {near}?" if near else "see handful train --print-config for what there is"
        return ConfigError(f"{path}: there is no setting {key}{more}", hint)
    if first["type"] == "missing":
        return ConfigError(f"{path}: {key} is missing{more}", "add it")
    message = first["msg"].removeprefix("Value error, ")
    if first["type"] in {"string_type", "path_type"} and not isinstance(first["input"], str | list | dict):
        message = "it is a word here: put it in quotes"
    # A section whose settings contradict each other is named, not repeated with all that it holds.
    value = "" if isinstance(first["input"], dict) else f" = {first['input']!r}"
    what = f"{path}: {key}{value}" if key else str(path)  # Sections that contradict each other.
    return ConfigError(f"{what} does not fit{more}", message[0].lower() + message[1:])


def _nearest(location: Sequence[str], kind: type[BaseModel]) -> str | None:
    """The existing key that is most like the wrong one: in the same section, else anywhere."""
    *parents, wrong = location
    here = _keys(kind, depth=1, inside=tuple(parents))
    if close := difflib.get_close_matches(wrong, here, n=1, cutoff=0.6):
        return ".".join([*parents, close[0]])
    everywhere = _keys(kind, depth=3)
    same_name = [key for key in everywhere if key.rsplit(".", 1)[-1] == wrong]
    by_name = {key.rsplit(".", 1)[-1]: key for key in reversed(everywhere)}
    close = difflib.get_close_matches(wrong, by_name, n=1, cutoff=0.7)
    return same_name[0] if same_name else by_name[close[0]] if close else None


def _keys(model: type[BaseModel], depth: int, inside: tuple[str, ...] = ()) -> list[str]:
    """Dotted keys of a section, down to `depth` levels, from the section at `inside`."""
    for name in inside:
        inner = _section(model, name)
        if inner is None:
            return []
        model = inner
    keys: list[str] = []
    for name in model.model_fields:
        keys.append(name)
        inner = _section(model, name)
        if inner is not None and depth > 1:
            keys += [f"{name}.{key}" for key in _keys(inner, depth - 1)]
    return keys


def _section(model: type[BaseModel], name: str) -> type[BaseModel] | None:
    field = model.model_fields.get(name)
    candidates = (field.annotation, *typing.get_args(field.annotation)) if field else ()
    return next((c for c in candidates if isinstance(c, type) and issubclass(c, BaseModel)), None)


def flatten(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested settings as dotted keys, for MLflow's parameters."""
    flat: dict[str, Any] = {}
    for key, value in values.items():
        if isinstance(value, Mapping) and value:
            flat |= flatten(value, f"{prefix}{key}.")
        else:
            flat[f"{prefix}{key}"] = value
    return flat


_Model = TypeVar("_Model", bound=BaseModel)


def validated(kind: type[_Model], values: Mapping[str, Any]) -> _Model:
    """Settings from values that came as options.

    Raises:
        ConfigError: a value does not fit.
    """
    try:
        return kind.model_validate(values)
    except ValidationError as error:
        raise explained(error, Path("options"), kind) from None
