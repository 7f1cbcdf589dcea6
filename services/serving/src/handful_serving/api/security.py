"""API keys and rates, as dependencies of routes."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from typing import Annotated
from urllib.parse import urlsplit

from fastapi import Depends, Request

from handful_serving.api.state import AppState, State
from handful_serving.domain.auth import Caller
from handful_serving.errors import ForbiddenError

KEY_HEADER = "X-API-Key"
_BEARER = "bearer "


def read_api_key(headers: Mapping[str, str]) -> str | None:
    """The key of a request: `Authorization: Bearer KEY`, or `X-API-Key: KEY`."""
    header = headers.get("authorization", "")
    if header.lower().startswith(_BEARER):
        return header[len(_BEARER) :].strip()
    return headers.get(KEY_HEADER.lower())


def authenticate(request: Request, state: AppState) -> Caller:
    """The caller of a request for predictions.

    Raises:
        UnauthorizedError: a key is needed, and there is none or an unknown one.
        ForbiddenError: the key is for other things.
    """
    return state.authenticator.authenticate(read_api_key(request.headers), "predict")


async def _predict_caller(request: Request, state: State) -> Caller:
    """The same as a dependency: FastAPI would call a plain function in a thread."""
    return authenticate(request, state)


async def _metrics_caller(request: Request, state: State) -> Caller:
    return state.authenticator.authenticate(read_api_key(request.headers), "metrics")


async def _review_caller(request: Request, state: State) -> Caller:
    if not state.authenticator.required:
        _check_local(request, reads=request.method == "GET")
        _check_origin(request, state)
    return state.authenticator.authenticate(read_api_key(request.headers), "review")


async def _admin_caller(request: Request, state: State) -> Caller:
    if not state.authenticator.required:
        _check_local(request)
        _check_origin(request, state)
    return state.authenticator.authenticate(read_api_key(request.headers), "admin")


PredictCaller = Annotated[Caller, Depends(_predict_caller)]
"""The caller of a route that needs the scope predict."""
MetricsCaller = Annotated[Caller, Depends(_metrics_caller)]
"""The caller of a route that needs the scope metrics."""
ReviewCaller = Annotated[Caller, Depends(_review_caller)]
"""The caller of a route that needs the scope review."""
AdminCaller = Annotated[Caller, Depends(_admin_caller)]
"""The caller of a route that needs the scope admin."""


def _check_local(request: Request, *, reads: bool = False) -> None:
    """Refuse what a web page could send through a browser on this machine, since no API key protects the server.

    A page cannot send JSON to another origin (CSRF). A page that points a domain of its own at this machine (DNS
    rebinding) sends that name as Host, and it has a dot in it.
    """
    host = _host_name(request.headers.get("host", ""))
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if not _is_local(host):
        what = "no pictures are shown" if reads else "nothing can be changed"
        raise ForbiddenError(f"without API keys, {what} under the name {host}", "ask for localhost")
    if not reads and kind != "application/json":
        raise ForbiddenError("what changes something is sent as JSON", "set Content-Type: application/json")


def _check_origin(request: Request, state: AppState) -> None:
    """Refuse a page of another origin: a preflight protects only from browsers that send one.

    An allowed origin is named in CORS_ORIGINS. `*` lets any page predict, and none change what is served.
    """
    origin = request.headers.get("origin")
    if origin is None or origin in state.settings.cors_origins or is_same_origin(origin, request.headers):
        return
    raise ForbiddenError(
        f"without API keys, pages of {origin} may not change anything", "add it to HANDFUL_SERVING_CORS_ORIGINS"
    )


def is_same_origin(origin: str, headers: Mapping[str, str]) -> bool:
    """Whether a page of this origin came from the server that it asks. Behind a proxy, their schemes differ."""
    return origin.partition("://")[2].lower() == headers.get("host", "").lower() != ""


def _host_name(host: str) -> str:
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
