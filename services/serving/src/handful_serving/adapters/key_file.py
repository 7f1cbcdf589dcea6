"""The API keys on disk: names, scopes and hashes, never the keys themselves."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from handful_core.errors import ConfigError, ResourceError
from handful_core.files import write_atomically
from handful_serving.domain.auth import ApiKey, ApiKeyStore, digest_of

_log = logging.getLogger(__name__)
_REFRESH_SECONDS = 1.0


class KeyFile:
    """Keys in a JSON file. It is read again when it has changed, so a new key needs no restart.

    Args:
        path: the file; it need not be there.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._stamp: tuple[int, int] | None = None
        self._checked_at = float("-inf")
        self._keys: dict[str, ApiKey] = {}

    def find(self, digest: str) -> ApiKey | None:
        """The key whose secret has this digest."""
        self._refresh()
        return self._keys.get(digest)

    def read(self) -> list[ApiKey]:
        """All keys.

        Raises:
            ConfigError: the file is not one that `handful keys` wrote.
        """
        try:
            entries = json.loads(self.path.read_text(encoding="utf-8"))["keys"]
            return [_from_json(entry) for entry in entries]
        except FileNotFoundError:
            return []
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise ConfigError(
                f"the file of API keys {self.path} cannot be read ({error})",
                "correct or delete it",
            ) from error

    def write(self, keys: Iterable[ApiKey]) -> None:
        """Replace all keys, in one step.

        Raises:
            ResourceError: the file cannot be written.
        """
        text = json.dumps({"keys": [_to_json(key) for key in keys]}, indent=2)
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            write_atomically(self.path, text + "\n", mode=0o600, durable=True)
        except OSError as error:
            raise ResourceError(
                f"the file of API keys {self.path} cannot be written ({error.strerror})",
                "correct its permissions, or set HANDFUL_SERVING_KEYS_FILE",
            ) from error

    def _refresh(self) -> None:
        if time.monotonic() - self._checked_at < _REFRESH_SECONDS:
            return
        self._checked_at = time.monotonic()
        # One `stat` a second, on the event loop: the file is read only when it has changed.
        stamp = _stamp(self.path)
        if stamp == self._stamp:
            return
        try:
            self._keys = {key.digest: key for key in self.read()}
            self._stamp = stamp
        except ConfigError as error:  # The keys that were read last stay valid: a broken file locks nobody out.
            _log.error("%s", error)


class WithMetricsKey:
    """Keys, and one more in a file of its own, with which a Prometheus reads the metrics.

    Args:
        keys: the others.
        path: the file; it holds the key itself, and is read once.

    Raises:
        ConfigError: it cannot be read, or is empty.
    """

    def __init__(self, keys: ApiKeyStore, path: Path) -> None:
        self._keys = keys
        try:
            secret = path.read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigError(
                f"the key for metrics {path} cannot be read ({error})", "correct HANDFUL_SERVING_METRICS_KEY_FILE"
            ) from error
        if not secret:
            raise ConfigError(f"the key for metrics {path} is empty", "write a long random text into it")
        self._own = ApiKey("metrics", digest_of(secret), frozenset({"metrics"}))

    def find(self, digest: str) -> ApiKey | None:
        """The key whose secret has this digest."""
        return self._own if digest == self._own.digest else self._keys.find(digest)


def _from_json(entry: dict[str, Any]) -> ApiKey:
    rate = entry.get("rate_per_minute")
    return ApiKey(
        name=str(entry["name"]),
        digest=str(entry["sha256"]),
        scopes=frozenset(entry["scopes"]),
        rate_per_minute=int(rate) if rate is not None else None,
        created=str(entry.get("created", "")),
    )


def _to_json(key: ApiKey) -> dict[str, Any]:
    return {
        "name": key.name,
        "sha256": key.digest,
        "scopes": sorted(key.scopes),
        "rate_per_minute": key.rate_per_minute,
        "created": key.created,
    }


def _stamp(path: Path) -> tuple[int, int] | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_mtime_ns, status.st_size
