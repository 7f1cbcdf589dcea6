"""Settings that every service has. Each is read once, in `main`, and passed in from there."""

from __future__ import annotations

from pathlib import Path
from typing import TypeVar

from pydantic import AliasChoices, Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict, SettingsError

from handful_core.errors import ConfigError


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
        validation_alias=AliasChoices("HANDFUL_MLFLOW_URI", "MLFLOW_TRACKING_URI"),
    )
    """Address of the MLflow server."""

    server: str = "http://127.0.0.1:8000"
    """Address of the serving API, for commands that call it."""

    api_key: SecretStr | None = None
    """The key that these commands send, where the server asks for one."""


_Settings = TypeVar("_Settings", bound=BaseSettings)


def load(kind: type[_Settings]) -> _Settings:
    """Read settings from the environment.

    Raises:
        ConfigError: a variable has a value that does not fit; the line names it, never its value.
    """
    try:
        return kind()
    except SettingsError as error:  # A list or mapping that is no JSON; the words name the field.
        raise ConfigError(f"an environment variable is wrong ({error})", "correct or unset it") from None
    except ValidationError as error:
        first = error.errors(include_input=False)[0]
        prefix = kind.model_config.get("env_prefix", "")
        name = str(first["loc"][0]) if first["loc"] else ""
        variable = name if name.isupper() else f"{prefix}{name}".upper()
        reason = first["msg"].removeprefix("Value error, ")
        raise ConfigError(f"the environment variable {variable} is wrong ({reason})", "correct or unset it") from None
