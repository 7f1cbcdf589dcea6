"""/docs and /openapi.json. Swagger UI comes from an installed package, so the page works without the internet."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

from fastapi import APIRouter, Request
from starlette.responses import FileResponse, HTMLResponse, JSONResponse, Response

from handful_serving.api.security_headers import CSP_HEADER, DOCS_POLICY

router = APIRouter(include_in_schema=False)

# Addresses are relative, so the page also works under a prefix.
_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<title>Handful: API</title>
<link rel="stylesheet" href="docs/swagger-ui.css">
<link rel="icon" href="data:,">
</head>
<body>
<div id="swagger-ui"></div>
<script src="docs/swagger-ui-bundle.js"></script>
<script src="docs/start.js"></script>
</body>
</html>
"""
_START = """SwaggerUIBundle({ url: "openapi.json", dom_id: "#swagger-ui", deepLinking: true, validatorUrl: null });
"""
_DAY = "public, max-age=86400"


@router.get("/openapi.json")
async def openapi(request: Request) -> JSONResponse:
    """The API's description."""
    description = request.app.openapi()
    prefix = request.url.path.removesuffix("/openapi.json")
    return JSONResponse({**description, "servers": [{"url": prefix}]} if prefix else description)


@router.get("/docs")
async def page() -> HTMLResponse:
    """The API's description as a page to try it out."""
    return HTMLResponse(_PAGE, headers={CSP_HEADER: DOCS_POLICY})


@router.get("/docs/start.js")
async def start() -> Response:
    """Starts Swagger UI."""
    return Response(_START, media_type="text/javascript", headers={"Cache-Control": _DAY})


@router.get("/docs/swagger-ui.css")
async def style() -> FileResponse:
    """Swagger UI's style sheet."""
    return FileResponse(_asset("swagger-ui.css"), headers={"Cache-Control": _DAY})


@router.get("/docs/swagger-ui-bundle.js")
async def script() -> FileResponse:
    """Swagger UI."""
    return FileResponse(_asset("swagger-ui-bundle.js"), headers={"Cache-Control": _DAY})


def _asset(name: str) -> Path:
    return Path(str(files("fastapi_offline") / "static" / name))
