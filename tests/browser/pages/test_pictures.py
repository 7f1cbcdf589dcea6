"""The pictures of the documentation, taken of a dashboard that looks at hands drawn by the program.

With `./scripts/quickstart.sh` running: `pytest tests/browser --pictures http://127.0.0.1:8000`. Without the option the
same is done with the tests' own server, and thrown away.
"""

from __future__ import annotations

from pathlib import Path

import cv2
import pytest
from playwright.sync_api import expect

from browser.screen import Screen, file
from fakes.packages import encode
from handful_trainer.data.drawn.scene import draw_scene

WIDTH, HEIGHT = 1440, 900


@pytest.fixture(scope="module")
def hands() -> bytes:
    """Three hands."""
    pixels, boxes = draw_scene(seed=11, number=9, size=960)
    assert len(boxes) == 3
    return encode(pixels, ".jpg")


@pytest.mark.parametrize(("name", "scheme"), [("dashboard", "light"), ("dashboard-dark", "dark")])
def test_the_dashboard_as_the_documentation_shows_it(page, request, serving, tmp_path, hands, name, scheme) -> None:
    address = request.config.getoption("pictures", None)
    folder = Path(request.config.rootpath, "docs", "img") if address else tmp_path
    page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
    page.set_viewport_size({"width": WIDTH, "height": HEIGHT})
    page.goto(address or serving.url)
    screen = Screen(page)
    screen.drop(file(hands, "three-hands.jpg", "image/jpeg"))
    screen.expect_face("answer")
    expect(screen.part("facts")).to_contain_text("three-hands.jpg")
    page.screenshot(path=folder / f"{name}.png")
    assert cv2.imread(str(folder / f"{name}.png")).shape == (HEIGHT, WIDTH, 3)
