"""API keys and rates, as dependencies of routes."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from typing import Annotated
from urllib.parse import urlsplit

from fastapi import Depends, Request

from handful_serving.api.state import State, app_state
from handful_serving.domain.auth import Caller
from handful_serving.errors import ForbiddenError

KEY_HEADER = "X-API-Key"
_BEARER = "bearer "


def read_api_key(headers: Mapping[str, str]) -> str | None:
    """The key of a request: `Authorization: Bearer KEY`, or `X-API-Key: KEY`."""
    given = headers.get("authorization", "")
    if given.lower().startswith(_BEARER):
        return given[len(_BEARER) :].strip()
    return headers.get(KEY_HEADER.lower())


async def authenticate(request: Request) -> Caller:
    """Who asks for a prediction.

    Raises:
        UnauthorizedError: a key is needed, and there is none or an unknown one.
        ForbiddenError: the key is for other things.
    """
    return app_state(request).guard.admit(read_api_key(request.headers), "predict")


async def _administering(request: Request, parts: State) -> Caller:
    if not parts.guard.required:
        _check_local(request)
    return parts.guard.admit(read_api_key(request.headers), "admin")


PredictCaller = Annotated[Caller, Depends(authenticate)]
"""Whoever may ask for predictions and models."""
AdminCaller = Annotated[Caller, Depends(_administering)]
"""Whoever may change what is served."""


def _check_local(request: Request) -> None:
    """Without keys, a page of the internet could change what is served, through the browser of whoever reads it.

    It cannot send JSON to another origin; and a name of its own that leads to this machine has a dot in it.
    """
    host = _name_of(request.headers.get("host", ""))
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if not _is_local(host):
        raise ForbiddenError(f"without API keys, nothing can be changed under the name {host}", "ask for localhost")
    if kind != "application/json":
        raise ForbiddenError("what changes something is sent as JSON", "set Content-Type: application/json")


def _name_of(host: str) -> str:
    """A Host header's name without its port; "" if it is none."""
    try:
        return urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return ""


def _is_local(host: str) -> bool:
    """An address, or a name of this machine or its network."""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return bool(host) and "." not in host
    return True
