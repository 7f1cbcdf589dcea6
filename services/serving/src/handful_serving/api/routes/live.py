"""WebSocket /ws/predict: live frames, each answered once, the newest first."""

from __future__ import annotations

import uuid

from fastapi import APIRouter, WebSocket
from pydantic import ValidationError

from handful_core.errors import HandfulError
from handful_serving.api.errors import reject_reason, to_problem
from handful_serving.api.live_connection import PROTOCOL, LiveConnection, LiveParameters
from handful_serving.api.parameters import describe_validation_error, each_once
from handful_serving.api.request_ids import current_request_id
from handful_serving.api.security import is_same_origin, read_api_key
from handful_serving.api.state import AppState, State
from handful_serving.domain.auth import Caller
from handful_serving.errors import BadRequestError, ForbiddenError, OverloadedError

router = APIRouter()
_KEY = "key."
_BUSY, _REFUSED = 1013, 1008
_RETRY = 5


@router.websocket("/ws/predict")
async def live(socket: WebSocket, state: State) -> None:
    """Answer frames until the client or the server ends it."""
    offered = socket.scope.get("subprotocols", [])
    await socket.accept(subprotocol=PROTOCOL if PROTOCOL in offered else None)
    name = uuid.uuid4().hex
    with current_request_id(name):
        # A browser does not learn why a WebSocket was not accepted. So it is accepted, gets the problem, and is closed.
        try:
            caller = _authenticate(socket, state)
            parameters = _parameters(socket)
        except HandfulError as error:
            state.metrics.rejected(reject_reason(error))
            problem = to_problem(error, socket.url.path, name)
            await socket.send_json({"type": "error", "fatal": True, "problem": problem.model_dump()})
            await socket.close(_BUSY if isinstance(error, OverloadedError) else _REFUSED, problem.title)
            return
        connection = LiveConnection(socket, state, caller, parameters, name)
        state.live_connections.add(connection)
        state.metrics.live(len(state.live_connections))
        try:
            await connection.run()
        finally:
            state.live_connections.discard(connection)
            state.metrics.live(len(state.live_connections))


def _authenticate(socket: WebSocket, state: AppState) -> Caller:
    _check_origin(socket, state)
    words = (word.removeprefix(_KEY) for word in socket.scope.get("subprotocols", []) if word.startswith(_KEY))
    # A browser cannot set headers: its key comes as a second subprotocol.
    caller = state.authenticator.authenticate(read_api_key(socket.headers) or next(words, None), "predict")
    if len(state.live_connections) >= state.settings.live_connections:
        raise OverloadedError(f"{len(state.live_connections)} live connections are open", "live_connections", _RETRY)
    return caller


def _check_origin(socket: WebSocket, state: AppState) -> None:
    """CORS does not hold for WebSockets: without this, any page could use the server that its reader can reach."""
    origin = socket.headers.get("origin")
    if origin is None or origin in state.settings.cors_origins or "*" in state.settings.cors_origins:
        return
    if not is_same_origin(origin, socket.headers):
        raise ForbiddenError(f"pages of {origin} may not connect", "add it to HANDFUL_SERVING_CORS_ORIGINS")


def _parameters(socket: WebSocket) -> LiveParameters:
    given = each_once("parameter", socket.query_params.multi_items())
    try:
        return LiveParameters.model_validate(given)
    except ValidationError as error:
        known = LiveParameters.model_fields
        raise BadRequestError(describe_validation_error("parameter", error.errors()[0], known)) from error
