"""API keys: who may do what, and how often."""

from __future__ import annotations

import hashlib
import math
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, Protocol

from handful_serving.errors import ForbiddenError, RateError, UnauthorizedError

Scope = Literal["metrics", "predict", "review", "admin"]
SCOPES: tuple[Scope, ...] = ("metrics", "predict", "review", "admin")
"""Each includes those before it."""
_PREFIX = "handful_"
_BYTES = 32
_MAX_BUCKETS = 10_000


@dataclass(frozen=True, slots=True)
class ApiKey:
    """A key, without its secret."""

    name: str
    """Its owner's name for it, and its id: in the log, and where a canary assigns callers."""
    digest: str
    """sha256 of the secret. It is random and long: nothing slower is needed."""
    scopes: frozenset[Scope]
    rate_per_minute: int | None = None
    """Images a minute; None for the server's own rate."""
    created: str = ""
    """UTC, ISO 8601."""

    def allows(self, scope: Scope) -> bool:
        """Whether one of its scopes is this one or includes it."""
        return not self.scopes.isdisjoint(SCOPES[SCOPES.index(scope) :])


class ApiKeyStore(Protocol):
    """All keys."""

    def find(self, digest: str) -> ApiKey | None:
        """The key whose secret has this digest."""
        ...


def new_secret() -> str:
    """A secret that nobody can guess."""
    return _PREFIX + secrets.token_urlsafe(_BYTES)


def digest_of(secret: str) -> str:
    """What is stored of a secret."""
    return hashlib.sha256(secret.encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class Caller:
    """Who sent a request."""

    key: ApiKey | None
    """None where no keys are required."""

    @property
    def name(self) -> str:
        """The key's name, or ""."""
        return self.key.name if self.key else ""


class Authenticator:
    """Checks API keys.

    Args:
        keys: all keys.
        required: whether requests need one.
    """

    def __init__(self, keys: ApiKeyStore, required: bool) -> None:
        self._keys = keys
        self.required = required

    def authenticate(self, secret: str | None, scope: Scope) -> Caller:
        """The caller, if it has the scope.

        Args:
            secret: the key that came with the request.
            scope: what the request needs.

        Raises:
            UnauthorizedError: a key is needed, and there is none or an unknown one.
            ForbiddenError: the key has not the scope.
        """
        if not self.required:
            return Caller(None)
        if not secret:
            raise UnauthorizedError(
                "this server asks for an API key",
                "send one as Authorization: Bearer KEY; `handful keys create NAME` on the server makes one",
            )
        key = self._keys.find(digest_of(secret))
        if key is None:
            raise UnauthorizedError("the API key is not known here", "`handful keys list` on the server names the keys")
        if not key.allows(scope):
            raise ForbiddenError(
                f"the API key {key.name} has not the scope {scope}", f"use a key with the scope {scope}"
            )
        return Caller(key)

    def refresh(self, caller: Caller) -> Caller:
        """The same caller with its key as it is now, for connections that outlive a change of the keys.

        Raises:
            UnauthorizedError: the key was removed.
        """
        if caller.key is None:
            return caller
        key = self._keys.find(caller.key.digest)
        if key is None:
            raise UnauthorizedError(f"the API key {caller.key.name} was removed", "ask for another")
        return Caller(key)


class RateLimiter:
    """Limits the images a minute of each caller.

    Args:
        rate_per_minute: for a key that has no rate of its own, and for all callers without a key together; no limit if
            None.
        clock: monotonic seconds.
    """

    def __init__(self, rate_per_minute: int | None, clock: Callable[[], float] = time.monotonic) -> None:
        self._rate = rate_per_minute
        self._clock = clock
        self._buckets: dict[str, _TokenBucket] = {}

    def consume(self, caller: Caller, images: int = 1) -> None:
        """Count images of a caller.

        Raises:
            RateError: there were too many within a minute.
        """
        own = caller.key.rate_per_minute if caller.key else None
        rate = own or self._rate
        if rate is None:
            return
        bucket = self._buckets.get(caller.name)
        if bucket is None or bucket.rate != rate:
            if len(self._buckets) >= _MAX_BUCKETS:
                self._buckets.clear()
            bucket = self._buckets[caller.name] = _TokenBucket(rate, float(rate), self._clock())
        wait = bucket.take(images, self._clock())
        if wait:
            raise RateError(f"{rate} images a minute are allowed", math.ceil(wait))


@dataclass(slots=True)
class _TokenBucket:
    """As many tokens as images are allowed in a minute, refilled evenly."""

    rate: int
    tokens: float
    refilled_at: float

    def take(self, images: int, now: float) -> float:
        """Take tokens.

        Returns:
            seconds until there are enough; 0 if there were.
        """
        self.tokens = min(float(self.rate), self.tokens + max(0.0, now - self.refilled_at) * self.rate / 60)
        self.refilled_at = now
        # A batch larger than a minute's rate could never be paid in advance: it begins with a full bucket, and the
        # tokens go below zero.
        needed = min(images, self.rate)
        if self.tokens >= needed:
            self.tokens -= images
            return 0.0
        return (needed - self.tokens) * 60 / self.rate
