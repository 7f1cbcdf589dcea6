"""GET /monitor/…: what the monitor says, for the dashboard; below /monitor/review also what people tell it."""

from __future__ import annotations

import re
from http import HTTPStatus

from fastapi import APIRouter, Request
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, Response

from handful_serving.api.errors import PROBLEM_JSON, make_problem
from handful_serving.api.request_ids import request_id_of
from handful_serving.api.security import PredictCaller, ReviewCaller
from handful_serving.api.state import State
from handful_serving.domain.ports import MonitorAnswer, MonitorQuestion
from handful_serving.errors import BadRequestError

router = APIRouter(include_in_schema=False)
_PATHS = frozenset({"health", "verdicts", "verdicts/history", "requests"})
"""What may be asked. All of it only reads."""
_REVIEW = {
    "GET": re.compile(r"models|pictures|pictures/[0-9a-f]{32}/image"),
    "PUT": re.compile(r"pictures/[0-9a-f]{32}"),
    "DELETE": re.compile(r"pictures|pictures/[0-9a-f]{32}"),
}
"""What reviewers may ask for."""
_MOST_BYTES = 1_000_000
_HOW = "docker compose --profile monitoring up --wait, or handful monitor watch --port 8002"


@router.api_route("/monitor/review/{path:path}", methods=list(_REVIEW))
async def review(path: str, request: Request, state: State, caller: ReviewCaller) -> Response:
    """Pass on what a reviewer asks for or says."""
    if not _REVIEW[request.method].fullmatch(path):
        raise HTTPException(HTTPStatus.NOT_FOUND)
    content = await _body(request)
    revision = request.headers.get("if-match", "")
    question = MonitorQuestion(request.method, f"review/{path}", request.url.query, caller.name, revision, content)
    return _answer(request, await state.monitor.ask(question))


@router.get("/monitor/{path:path}")
async def monitor(path: str, request: Request, state: State, _: PredictCaller) -> Response:
    """Pass a question on. A monitor that does not run is no error of serving's: it can be left out."""
    if path not in _PATHS:
        raise HTTPException(HTTPStatus.NOT_FOUND)
    return _answer(request, await state.monitor.get(path, request.url.query))


async def _body(request: Request) -> bytes:
    content = bytearray()
    async for piece in request.stream():
        content += piece
        if len(content) > _MOST_BYTES:
            raise BadRequestError("the review is too long", f"{_MOST_BYTES} bytes are allowed")
    return bytes(content)


def _answer(request: Request, found: MonitorAnswer | None) -> Response:
    if found is None:
        problem = make_problem(
            HTTPStatus.NOT_FOUND, "no-monitor", "The monitor does not run", f"no monitor answers; start it: {_HOW}",
            request.url.path, request_id_of(request.scope),
        )  # fmt: skip
        return JSONResponse(problem.model_dump(), problem.status, media_type=PROBLEM_JSON)
    headers = {"ETag": found.revision} if found.revision else None
    return Response(found.content, found.status, headers, media_type=found.kind)
