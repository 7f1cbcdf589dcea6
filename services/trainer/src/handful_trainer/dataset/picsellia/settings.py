"""Who asks Picsellia, and where it is: the environment's part of a pull. What is pulled, the configuration says."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from pydantic import AliasChoices, Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict

from handful_core.errors import ConfigError
from handful_trainer.dataset.settings import PicselliaConfig

_MOUNTED = Path("/run/secrets/picsellia_token")
_HOW = "make one in Picsellia (Profile settings > Token), and put it into PICSELLIA_TOKEN or PICSELLIA_TOKEN_FILE"


class PicselliaSettings(BaseSettings):
    """`PICSELLIA_*`: none of it is ever logged or written into a run."""

    model_config = SettingsConfigDict(
        env_prefix="PICSELLIA_",
        env_ignore_empty=True,
        frozen=True,
        use_attribute_docstrings=True,
        populate_by_name=True,
    )

    token: SecretStr = SecretStr("")
    """Your API token."""
    token_file: Path | None = None
    """A file that holds the token, read if there is no token. If not given, a container's secret of that name."""
    organisation: str = Field(
        default="", validation_alias=AliasChoices("PICSELLIA_ORGANISATION", "PICSELLIA_ORGANIZATION")
    )
    """Name or id of the organisation. If not given, the one of the token's owner."""
    host: str = "https://app.picsellia.com"
    """Address of the platform."""
    workers: int = Field(default=8, ge=1, le=64)
    """How many files are fetched at once."""

    def secret(self) -> str:
        """The token.

        Raises:
            ConfigError: there is none, or its file cannot be read. The line never shows it.
        """
        if token := self.token.get_secret_value().strip():
            return token
        path = self.token_file or (_MOUNTED if _MOUNTED.is_file() else None)
        if path is None:
            raise ConfigError("there is no Picsellia token", _HOW)
        try:
            token = path.read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            reason = getattr(error, "strerror", None) or "it is no text"
            raise ConfigError(f"the Picsellia token's file {path} cannot be read ({reason})", _HOW) from None
        if not token or not token.isprintable() or not token.isascii():
            raise ConfigError(f"the Picsellia token's file {path} is empty or holds no token", _HOW)
        return token


class Target(NamedTuple):
    """The dataset version to pull, with what the environment adds."""

    host: str
    organisation: str
    """Empty for that of the token's owner."""
    dataset: str
    version: str

    @classmethod
    def from_settings(cls, config: PicselliaConfig, settings: PicselliaSettings) -> Target:
        """What the configuration says, completed by the environment.

        Raises:
            ConfigError: dataset or version is missing, or the host is no web address.
        """
        for name, value in (("dataset", config.dataset), ("version", config.version)):
            if not value:
                raise ConfigError(
                    f"no {name} of Picsellia is named",
                    f"handful data pull DATASET VERSION, or set dataset.picsellia.{name}",
                )
        host = (config.host or settings.host).rstrip("/")
        if not host.startswith(("https://", "http://")):
            raise ConfigError(f"the Picsellia host {host!r} is no web address", "write it as https://app.picsellia.com")
        return cls(host, config.organisation or settings.organisation, config.dataset, config.version)

    def __str__(self) -> str:
        """For people."""
        return f"{self.dataset}, version {self.version}"
