"""The dashboard's static files, at /."""

from __future__ import annotations

import os
from pathlib import Path

from starlette.responses import Response
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp, Receive, Scope, Send

from handful_core.errors import ConfigError


class Dashboard(StaticFiles):
    """Static files that a browser asks about each time: after an update nobody sees the old page with the new API.

    Args:
        folder: holds index.html.

    Raises:
        ConfigError: it does not.
    """

    def __init__(self, folder: Path) -> None:
        if not (folder / "index.html").is_file():
            raise ConfigError(
                f"the dashboard folder {folder} has no index.html", "correct HANDFUL_SERVING_DASHBOARD_DIR or unset it"
            )
        super().__init__(directory=folder, html=True)

    def file_response(
        self, full_path: str | os.PathLike[str], stat_result: os.stat_result, scope: Scope, status_code: int = 200
    ) -> Response:
        """A file, or 304 if the browser has it."""
        response = super().file_response(full_path, stat_result, scope, status_code)
        response.headers["Cache-Control"] = "no-cache"
        return response


def with_fallback(dashboard: ASGIApp, default: ASGIApp) -> ASGIApp:
    """The dashboard for HTTP requests that no route matches, and the default for everything else.

    Mounted at /, it would also answer what a route refuses for its method, and say that there is no such address.
    """

    async def answer(scope: Scope, receive: Receive, send: Send) -> None:
        await (dashboard if scope["type"] == "http" else default)(scope, receive, send)

    return answer
