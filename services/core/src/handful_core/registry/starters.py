"""The starter models that come with Handful, and which of them a first start brings into the registry."""

from __future__ import annotations

from collections.abc import Collection

from handful_core.errors import ConfigError
from handful_core.registry.client import Registry
from handful_core.registry.records import SOURCE_VERSION

STARTER_FILES = {"fingers": "starter.zip", "leaves": "leaves.zip"}
"""The backup of each starter model, in the folder `models`."""

DEFAULT_STARTERS = "fingers"
_NONE = "none"
_OLDER_WORDS = {"on": DEFAULT_STARTERS, "off": _NONE}


def chosen_starters(choice: str) -> tuple[str, ...]:
    """The starter models that `STARTER_MODEL` names, in its order.

    Args:
        choice: names with commas between them, or `none`; empty for the default. `on` and `off` mean the default and
            none, as they did when there was one starter model.

    Raises:
        ConfigError: it names something else.
    """
    words = [word.strip().lower() for word in (choice.strip() or DEFAULT_STARTERS).split(",")]
    names = [_OLDER_WORDS.get(word, word) for word in words if word]
    if names == [_NONE]:
        return ()
    unknown = [name for name in names if name not in STARTER_FILES]
    if unknown or not names:
        raise ConfigError(
            f"STARTER_MODEL is {choice.strip()!r}",
            f"it is {', '.join(STARTER_FILES)}, several of them with a comma between, or {_NONE}",
        )
    return tuple(dict.fromkeys(names))


def models_in_use(registry: Registry) -> set[str]:
    """The models that the registry has versions of.

    An import that was broken off leaves versions with its tag and without an alias, since aliases come last: they do
    not count, so that the next start goes on with it.

    Raises:
        HandfulError: the registry does not answer.
    """
    return {
        model.name
        for model in registry.models()
        if any(version.aliases or SOURCE_VERSION not in version.tags for version in registry.versions(model.name))
    }


def wanted_starters(chosen: Collection[str], in_use: Collection[str]) -> list[str]:
    """The chosen starter models that a registry lacks; none where somebody has models of other names already."""
    return [] if set(in_use) - set(chosen) else [name for name in chosen if name not in in_use]
