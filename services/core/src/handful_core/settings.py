"""Settings that every service has. Each is read once, in `main`, and passed in from there."""

from __future__ import annotations

import difflib
import functools
import os
from dataclasses import asdict
from pathlib import Path
from typing import Any, TypeVar

from pydantic import AliasChoices, Field, SecretStr, ValidationError
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict, SettingsError

from handful_core.console import say
from handful_core.errors import ConfigError
from handful_core.running import find_servers

_MLFLOW_VARIABLES = ("HANDFUL_MLFLOW_URI", "MLFLOW_TRACKING_URI")


class _RunningServersSource(PydanticBaseSettingsSource):
    """Addresses that nobody has set: those of the servers that run in the home folder."""

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:
        """Not used: all fields come at once."""
        raise NotImplementedError

    def __call__(self) -> dict[str, Any]:
        """The addresses that the sources before have not given."""
        known = {name.upper() for name in self.current_state}
        wanted = {"server": {"SERVER"}, "mlflow_uri": {"MLFLOW_URI", *_MLFLOW_VARIABLES}}
        if all(known & names for names in wanted.values()):
            return {}
        try:
            found = find_servers(Path(self.current_state.get("home", "var")))
        except TypeError:  # The home is no path: the settings' own check says so.
            found = None
        return {name: address for name, address in asdict(found).items() if not known & wanted[name]} if found else {}


class CoreSettings(BaseSettings):
    """`HANDFUL_*`: what all commands share."""

    model_config = SettingsConfigDict(
        env_prefix="HANDFUL_",
        env_ignore_empty=True,
        frozen=True,
        use_attribute_docstrings=True,
        populate_by_name=True,
    )

    home: Path = Path("var")
    """Folder for all that Handful writes: datasets, runs, caches, the embedded MLflow."""

    mlflow_uri: str = Field(
        default="http://127.0.0.1:5000",
        validation_alias=AliasChoices(*_MLFLOW_VARIABLES),
    )
    """Address of the MLflow server. If not set, of the one that a quickstart runs in the home folder."""

    server: str = "http://127.0.0.1:8000"
    """Address of the serving API, for commands that call it. If not set, of a running quickstart's."""

    api_key: SecretStr | None = None
    """The key that these commands send, where the server asks for one."""

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """What is set counts more than what runs."""
        running = _RunningServersSource(settings_cls)
        return init_settings, env_settings, dotenv_settings, file_secret_settings, running


_ALIKE = 0.9
"""Share of a variable's letters that a setting's name must have, in order, for the variable to be meant as that."""
_Settings = TypeVar("_Settings", bound=BaseSettings)


def load(kind: type[_Settings]) -> _Settings:
    """Read settings from the environment.

    Raises:
        ConfigError: a variable has a value that does not fit; the line names it, never its value.
    """
    _warn_of_misspelt(kind)
    try:
        return kind()
    except SettingsError as error:  # A list or mapping that is not JSON; the words name the field.
        raise ConfigError(f"an environment variable is wrong ({error})", "correct or unset it") from None
    except ValidationError as error:
        first = error.errors(include_input=False)[0]
        prefix = kind.model_config.get("env_prefix", "")
        name = str(first["loc"][0]) if first["loc"] else ""
        variable = name if name.isupper() else f"{prefix}{name}".upper()
        reason = first["msg"].removeprefix("Value error, ")
        raise ConfigError(f"the environment variable {variable} is wrong ({reason})", "correct or unset it") from None


def _warn_of_misspelt(kind: type[BaseSettings]) -> None:
    """Say it if a variable is nearly called as a setting: it would be ignored, and nobody would know."""
    prefix = kind.model_config.get("env_prefix", "")
    known = {f"{prefix}{name}".upper() for name in kind.model_fields}
    for variable in os.environ:
        if prefix and variable.startswith(prefix) and variable not in known:
            for meant in difflib.get_close_matches(variable, known, 1, _ALIKE):
                _warn(f"warning: {variable} is ignored, there is no such setting: did you mean {meant}?")


@functools.cache  # Settings are read more than once.
def _warn(line: str) -> None:
    say(line)
