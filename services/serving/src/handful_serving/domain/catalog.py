"""The registry's models as it last answered, and the versions that serving answers with."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from handful_core.registry.records import CHAMPION, RegisteredModel, Version
from handful_serving.domain.model_ref import ModelRef, ModelVersion
from handful_serving.errors import NoModelError, UnknownModelError


class Catalog:
    """Names, aliases and versions.

    Two maps of champions are kept: where the registry's alias points, and which version serving answers with. They
    differ while a new champion is being loaded, when it was refused, and when the registry is away.

    Args:
        default_model: the model of a request that names none.
        served: the only models to serve; all if empty.
    """

    def __init__(self, default_model: str, served: Iterable[str] = ()) -> None:
        self._default_model = default_model
        self._served = frozenset(served)
        self.models: dict[str, RegisteredModel] = {}
        """By name, as the registry last answered."""
        self.versions: dict[str, list[Version]] = {}
        """By model name, of the models whose versions were listed."""
        self.champions: dict[str, int] = {}
        """The version that answers for each model: the last champion that could be loaded."""
        self.saved_champions: dict[str, int] = {}
        """The champions of an earlier process: they count if the registry is away from the start."""
        self.reachable: bool | None = None
        """Whether the registry answered last time; None before the first time."""
        self.registry_error = ""
        """Why it did not."""

    def is_served(self, name: str) -> bool:
        """Whether the settings let this model be served."""
        return not self._served or name in self._served

    def update(self, models: Iterable[RegisteredModel]) -> list[str]:
        """Take over what the registry has.

        Returns:
            names of models that were deleted and created anew since the last update.
        """
        before, self.models = self.models, {m.name: m for m in models if self.is_served(m.name)}
        self.reachable, self.registry_error = True, ""
        return [
            name
            for name, model in self.models.items()
            if name in before and _is_another(before[name].created, model.created)
        ]

    def targets(self) -> dict[str, int]:
        """Where the registry's champion aliases point, or did when it last answered; the default model first."""
        found = {name: model.aliases[CHAMPION] for name, model in self.models.items() if CHAMPION in model.aliases}
        if self.reachable is False and not self.models:
            found = {name: version for name, version in self.saved_champions.items() if self.is_served(name)}
        return dict(sorted(found.items(), key=lambda item: (item[0] != self._default_model, item[0])))

    @property
    def default(self) -> str | None:
        """The model of a request that names none: the default model, else the first by name that has a champion."""
        names = {*self.champions, *self.targets()}
        if self._default_model in names:
            return self._default_model
        return min(names, default=None)

    def is_champion(self, model_version: ModelVersion) -> bool:
        """Whether serving answers with this version when a request names only its model."""
        return self.champions.get(model_version.name) == model_version.version

    def rank(self, model_version: ModelVersion) -> int:
        """How much a loaded version is worth keeping in memory: see `ModelStore`."""
        if not self.is_champion(model_version):
            return 0
        return 2 if model_version.name == self.default else 1

    def resolve(self, ref: ModelRef) -> ModelVersion:
        """The version that a request means.

        Raises:
            NoModelError: it names no model, and there is none with a champion.
            UnknownModelError: it names a model or an alias that is not there.
        """
        name = ref.model or self.default
        if name is None:
            raise NoModelError("there is no model to answer with", "see /health/ready")
        if ref.version is not None:
            self._check_name(name)
            return ModelVersion(name, ref.version)
        alias = ref.alias or CHAMPION
        version = self.champions.get(name) if alias == CHAMPION else None
        version = version or self.aliases(name).get(alias)
        if version is None:
            self._check_name(name)
            raise UnknownModelError(f"model {name} has no alias {alias}", self._aliases_of(name))
        return ModelVersion(name, version)

    def aliases(self, name: str) -> dict[str, int]:
        """Where the registry's aliases of a model point, as far as is known."""
        if name in self.models:
            return dict(self.models[name].aliases)
        champion = self.champions.get(name) or self.targets().get(name)
        return {CHAMPION: champion} if champion else {}

    def names(self) -> list[str]:
        """All models that can be asked for."""
        return sorted({*self.models, *self.champions, *self.targets()})

    def unknown_version(self, model_version: ModelVersion) -> UnknownModelError:
        """The error for a version that does not exist."""
        numbers = [str(version.version) for version in reversed(self.versions.get(model_version.name, []))]
        hint = f"it has {', '.join(numbers)}" if numbers else "see /models"
        return UnknownModelError(f"model {model_version.name} has no version {model_version.version}", hint)

    def _aliases_of(self, name: str) -> str:
        aliases = sorted(self.aliases(name))
        return f"it has {', '.join(aliases)}" if aliases else f"give it one with: handful promote {name} VERSION"

    def _check_name(self, name: str) -> None:
        if self.reachable is None and not self.champions:
            raise NoModelError("serving has only just started", "try again in a moment")
        if name in self.names():
            return
        if not self.models and not self.reachable:
            raise NoModelError(
                f"model {name} is not in the cache, and the registry does not answer", self.registry_error
            )
        raise UnknownModelError(f"there is no model {name}", _list_of(self.names()))


def _is_another(before: datetime | None, after: datetime | None) -> bool:
    return before is not None and after is not None and before != after


def _list_of(names: list[str]) -> str:
    return f"there is {', '.join(names)}" if names else "none is registered yet"
