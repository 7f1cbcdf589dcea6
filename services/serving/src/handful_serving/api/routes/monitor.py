"""GET /monitor/…: what the monitor says, for the dashboard."""

from __future__ import annotations

from http import HTTPStatus

from fastapi import APIRouter, Request
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, Response

from handful_serving.api.errors import PROBLEM_JSON, make_problem
from handful_serving.api.request_ids import request_id_of
from handful_serving.api.security import PredictCaller
from handful_serving.api.state import State

router = APIRouter(include_in_schema=False)
_PATHS = frozenset({"health", "verdicts", "verdicts/history", "requests"})
"""What may be asked. All of it only reads."""
_HOW = "docker compose --profile monitoring up --wait, or handful monitor watch --port 8002"


@router.get("/monitor/{path:path}")
async def monitor(path: str, request: Request, state: State, _: PredictCaller) -> Response:
    """Pass a question on. A monitor that does not run is no error of serving's: it can be left out."""
    if path not in _PATHS:
        raise HTTPException(HTTPStatus.NOT_FOUND)
    found = await state.monitor.get(path, request.url.query)
    if found is None:
        problem = make_problem(
            HTTPStatus.NOT_FOUND, "no-monitor", "The monitor does not run", f"no monitor answers; start it: {_HOW}",
            request.url.path, request_id_of(request.scope),
        )  # fmt: skip
        return JSONResponse(problem.model_dump(), problem.status, media_type=PROBLEM_JSON)
    return Response(found.content, found.status, media_type=found.kind)
