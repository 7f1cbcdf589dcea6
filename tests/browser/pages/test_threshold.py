"""The confidence slider."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, expect

from browser.scene import scene
from browser.screen import file
from browser.stock import OWN_THRESHOLD
from fakes.packages import encode

# The fainter, the less sure: about 98, 83 and 40 percent for the champion.
DATA = encode(scene({(1, 1): "5", (4, 4): "2", (6, 2): "0"}, {(4, 4): 0.7, (6, 2): 0.45}))


@pytest.fixture
def asked(page: Page) -> Iterator[list[str]]:
    """Every prediction that the page asks for."""
    requests: list[str] = []
    page.on("request", lambda request: requests.append(request.url) if "api/predict" in request.url else None)
    return requests


def test_it_filters_at_once_without_asking_again(screen, asked) -> None:
    screen.drop(file(DATA))
    for share, count, rows in [(0.25, "7", 3), (0.6, "7", 2), (0.95, "5", 1), (1, "0", 0), (0.05, "7", 3)]:
        screen.set_threshold(share)
        expect(screen.value).to_have_text(count)
        expect(screen.boxes).to_have_count(rows)
        expect(screen.rows).to_have_count(rows)
    assert len(asked) == 1


def test_it_says_what_it_holds_back(screen) -> None:
    screen.drop(file(DATA))
    expect(screen.part("findings-rest")).to_be_empty()
    screen.set_threshold(0.9)
    expect(screen.part("findings-rest")).to_have_text("2 more below the threshold")
    expect(screen.part("ticks").locator("line")).to_have_count(3)
    expect(screen.part("ticks").locator(".held-back")).to_have_count(2)


def test_it_starts_at_the_models_own_threshold_and_goes_back_there(screen) -> None:
    screen.pick("previous")
    screen.drop(file(DATA))
    expect(screen.part("threshold-value")).to_have_text(f"{OWN_THRESHOLD:.0%}")
    expect(screen.part("threshold-reset")).to_be_hidden()
    screen.set_threshold(0.1)
    expect(screen.rows).to_have_count(3)
    screen.part("threshold-reset").click()
    expect(screen.part("slider")).to_have_value(f"{OWN_THRESHOLD:.2f}")
    expect(screen.part("slider")).to_be_focused()
    expect(screen.rows).to_have_count(2)


def test_the_keyboard_moves_it_and_it_says_where_it_is(screen) -> None:
    screen.drop(file(DATA))
    expect(screen.rows).to_have_count(3)
    screen.part("slider").focus()
    screen.page.keyboard.press("ArrowRight")
    expect(screen.part("slider")).to_have_attribute("aria-valuetext", "26%")
    screen.page.keyboard.press("End")
    expect(screen.value).to_have_text("0")


def test_it_stays_for_the_next_picture_and_goes_with_the_next_model(screen) -> None:
    screen.drop(file(DATA))
    screen.set_threshold(0.9)
    expect(screen.rows).to_have_count(1)
    screen.drop(file(DATA, "again.png"))
    expect(screen.part("facts")).to_contain_text("again.png")
    expect(screen.part("threshold-value")).to_have_text("90%")
    screen.pick("previous")
    expect(screen.part("threshold-value")).to_have_text(f"{OWN_THRESHOLD:.0%}")


def test_a_screen_reader_hears_the_count_once_the_slider_rests(screen) -> None:
    screen.drop(file(DATA))
    expect(screen.part("announcement")).to_have_text("Count 7. 3 boxes")
    screen.set_threshold(0.9)
    screen.set_threshold(1)
    expect(screen.part("announcement")).to_have_text("Count 0. Nothing found above 100%")
