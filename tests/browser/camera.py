"""A Chromium whose camera is a film of one picture."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from playwright.sync_api import BrowserType, Page

_FRAMES = 3


@contextmanager
def page_with_camera(
    browser_type: BrowserType, launch: dict[str, Any], folder: Path, jpeg: bytes, **context: Any
) -> Iterator[Page]:
    """A page that may use the camera without being asked.

    Args:
        browser_type: Chromium.
        launch: how it is started.
        folder: where the film goes.
        jpeg: what the camera sees; its sides are even numbers.
        context: options of the browser's context.
    """
    film = folder / "film.mjpeg"
    film.write_bytes(jpeg * _FRAMES)
    flags = [
        "--use-fake-device-for-media-stream",
        "--use-fake-ui-for-media-stream",
        f"--use-file-for-fake-video-capture={film}",
    ]
    browser = browser_type.launch(**launch | {"args": [*launch["args"], *flags]})
    yield browser.new_page(**context)
    browser.close()
