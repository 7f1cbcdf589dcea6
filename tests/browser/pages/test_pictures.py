"""The pictures of the documentation, taken of a dashboard that looks at hands drawn by the program.

Of a running dashboard whose model was trained on drawn hands (`handful train --config configs/sample.yaml`):
`pytest tests/browser --pictures http://127.0.0.1:8000`. Without the option the same is done with the tests' own server,
and thrown away.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import cv2
import httpx
import numpy as np
import pytest
from playwright.sync_api import Page, expect

from browser.camera import page_with_camera
from browser.screen import Screen, file
from fakes.packages import encode
from handful_quickstart.sample import draw_scene

WIDTH, HEIGHT = 1440, 900
MOST_BYTES = 150_000
_QUALITY = 84
_SEED = 11  # Not the one that `handful data sample` draws with: no model has been trained on these.
_TRIED = 40
_VIEWS = {"width": WIDTH, "height": HEIGHT}


@pytest.fixture(scope="module")
def shown(request: pytest.FixtureRequest) -> str | None:
    """The address of the dashboard that the documentation is to show."""
    return request.config.getoption("pictures", None)


@pytest.fixture(scope="module")
def hands(shown: str | None) -> list[bytes]:
    """Three pictures of drawn hands; for the documentation such as the model sees as they are: no proof of it."""
    scenes = (draw_scene(_SEED, number, size=640) for number in range(_TRIED if shown else 3))
    drawn = [(encode(pixels, ".jpg"), sorted(box.label for box in boxes)) for pixels, boxes in scenes]
    drawn.sort(key=lambda one: -len(one[1]))
    right = (data for data, labels in drawn if not shown or _seen(shown, data) == labels)
    return [data for data, _ in zip(right, range(3), strict=False)]


def _seen(address: str, data: bytes) -> list[str]:
    answer = httpx.post(f"{address.rstrip('/')}/api/predict", files={"image": data}, timeout=60)
    return sorted(found["name"] for found in answer.raise_for_status().json()["detections"])


@pytest.fixture
def take(repository: Path, shown: str | None, tmp_path: Path) -> Any:
    """Takes a picture of the page, small enough for a repository."""

    def take(page: Page, name: str) -> None:
        path = (repository / "docs" / "img" if shown else tmp_path) / f"{name}.webp"
        pixels = cv2.imdecode(np.frombuffer(page.screenshot(), np.uint8), cv2.IMREAD_COLOR)
        cv2.imwrite(str(path), pixels, [cv2.IMWRITE_WEBP_QUALITY, _QUALITY])
        assert pixels.shape == (HEIGHT, WIDTH, 3)
        assert path.stat().st_size < MOST_BYTES

    return take


@pytest.fixture
def address(shown: str | None, serving: Any) -> str:
    """The dashboard that is shown."""
    return str(shown or serving.url).rstrip("/")


@pytest.mark.parametrize(("name", "scheme"), [("try", "light"), ("try-dark", "dark")])
def test_try_it(page, address, hands, take, name, scheme) -> None:
    page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
    page.set_viewport_size(_VIEWS)
    screen = Screen.open(page, address)
    for place, data in enumerate(reversed(hands), start=1):
        screen.drop(file(data, f"drawn-hands-{place}.jpg", "image/jpeg"))
        expect(screen.part("facts")).to_contain_text(f"drawn-hands-{place}.jpg")
        screen.expect_view_state("answer")
    take(page, name)


def test_live(browser_type, browser_type_launch_args, tmp_path, address, hands, take, shown) -> None:
    with page_with_camera(browser_type, browser_type_launch_args, tmp_path, hands[0], viewport=_VIEWS) as page:
        page.emulate_media(reduced_motion="reduce")
        Screen.open(page, f"{address}/#live")
        page.locator('[data-part="live-start"]').click()
        expect(page.locator('[data-part="live-rate"]')).to_have_text(re.compile(r"\d"))
        page.wait_for_timeout(3000 if shown else 0)  # Until rate and latency are those of several frames.
        take(page, "live")


def test_models(page, address, take) -> None:
    page.set_viewport_size(_VIEWS)
    Screen.open(page, f"{address}/#models")
    champion = page.get_by_role("row").filter(has=page.get_by_text("champion", exact=True)).first
    champion.get_by_role("button", name="Curves and classes").click()
    expect(page.locator("polyline").first).to_be_attached()
    page.evaluate("scrollTo(0, 0)")
    take(page, "models")


def test_health(page, address, hands, take) -> None:
    page.set_viewport_size(_VIEWS)
    Screen.open(page, address).drop(file(hands[0], "drawn-hands.jpg", "image/jpeg"))
    Screen(page).expect_view_state("answer")
    page.locator('[data-to="health"]').click()
    expect(page.locator('[data-part="health-when"]')).not_to_be_empty()
    take(page, "health")
