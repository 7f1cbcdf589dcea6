"""The pictures of the documentation, taken of a dashboard that looks at hands drawn by the program.

With `./scripts/quickstart.sh` running: `pytest tests/browser --pictures http://127.0.0.1:8000`. Without the option the
same is done with the tests' own server, and thrown away.
"""

from __future__ import annotations

import cv2
import httpx
import pytest
from playwright.sync_api import expect

from browser.screen import Screen, file
from fakes.packages import encode
from handful_trainer.data.drawn.scene import draw_scene

WIDTH, HEIGHT = 1440, 900
_SEED = 11  # Not the one that `handful data sample` draws with: no model has been trained on these.


@pytest.fixture(scope="module")
def shown(request: pytest.FixtureRequest) -> str | None:
    """The address of the dashboard that the documentation is to show."""
    return request.config.getoption("pictures", None)


@pytest.fixture(scope="module")
def hands(shown: str | None) -> bytes:
    """Drawn hands; for the documentation several, which the model sees as they are: an illustration, no proof of it."""
    scenes = (draw_scene(_SEED, number, size=960) for number in range(60 if shown else 1))
    drawn = [(encode(pixels, ".jpg"), sorted(box.label for box in boxes)) for pixels, boxes in scenes]
    drawn.sort(key=lambda one: -len(one[1]))
    return next((data for data, labels in drawn if shown and _seen(shown, data) == labels), drawn[0][0])


def _seen(address: str, data: bytes) -> list[str]:
    answer = httpx.post(f"{address.rstrip('/')}/api/predict", files={"image": data}).raise_for_status().json()
    return sorted(found["name"] for found in answer["detections"])


@pytest.mark.parametrize(("name", "scheme"), [("dashboard", "light"), ("dashboard-dark", "dark")])
def test_the_dashboard_as_the_documentation_shows_it(
    page, repository, serving, shown, tmp_path, hands, name, scheme
) -> None:
    folder = repository / "docs" / "img" if shown else tmp_path
    page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
    page.set_viewport_size({"width": WIDTH, "height": HEIGHT})
    page.goto(shown or serving.url)
    screen = Screen(page)
    screen.drop(file(hands, "drawn-hands.jpg", "image/jpeg"))
    screen.expect_face("answer")
    expect(screen.part("facts")).to_contain_text("drawn-hands.jpg")
    page.screenshot(path=folder / f"{name}.png")
    assert cv2.imread(str(folder / f"{name}.png")).shape == (HEIGHT, WIDTH, 3)
