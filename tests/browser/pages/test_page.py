"""The page itself: what it weighs, what it may do, how it fits."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import httpx
import numpy as np
import pytest
from playwright.sync_api import BrowserType, Page, Request, expect

from browser.scene import SIDE, cell_box, scene
from browser.screen import Screen, file
from fakes.packages import encode

DATA = encode(scene({(1, 1): "5", (4, 4): "2"}))
MOST_BYTES = 150_000


def test_the_first_load_is_small_and_all_of_it_comes_from_here(page, serving) -> None:
    arrived: list[Request] = []
    page.on("requestfinished", lambda request: arrived.append(request))  # noqa: PLW0108  # Playwright marks what it calls.
    page.goto(serving.url, wait_until="networkidle")
    sizes = {request.url: request.sizes() for request in arrived}
    loaded = {url: size["responseBodySize"] + size["responseHeadersSize"] for url, size in sizes.items()}
    assert sum(loaded.values()) < MOST_BYTES
    assert all(url.startswith(serving.url) for url in loaded)
    assert len(loaded) > 20


def test_the_policy_lets_only_our_own_files_run(serving) -> None:
    policy = httpx.get(serving.url).headers["content-security-policy"]
    assert "default-src 'self'" in policy
    assert "unsafe" not in policy


def test_no_module_reads_data_as_markup(dashboard: Path) -> None:
    forbidden = re.compile(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function")
    sources = [*dashboard.rglob("*.js")]
    assert sources
    assert [path.name for path in sources if forbidden.search(path.read_text(encoding="utf-8"))] == []


def test_the_modules_that_compute_never_touch_the_page(dashboard: Path) -> None:
    sources = [*(dashboard / "js" / "logic").glob("*.js")]
    assert sources
    page = re.compile(r"\bdocument\b|\bwindow\b|\.\./view/|\bfetch\(")
    code = {
        path.name: re.sub(r"/\*.*?\*/|//.*", "", path.read_text(encoding="utf-8"), flags=re.DOTALL) for path in sources
    }
    assert [name for name, text in code.items() if page.search(text)] == []


@pytest.mark.parametrize("width", [1440, 1024, 800, 390, 320])
def test_nothing_is_wider_than_the_window(page, open_screen, serving, width) -> None:
    page.set_viewport_size({"width": width, "height": 800})
    screen = open_screen(serving)
    screen.drop(file(DATA, "a-rather-long-name-without-any-break-" * 3 + ".png"))
    screen.expect_view_state("answer")
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    picture = screen.part("picture").bounding_box()
    stage = screen.part("stage").bounding_box()
    assert picture
    assert stage
    margin = 8
    assert stage["x"] + margin <= picture["x"]
    assert picture["x"] + picture["width"] <= stage["x"] + stage["width"] - margin
    assert picture["y"] + picture["height"] <= stage["y"] + stage["height"] - margin


def test_boxes_follow_the_picture_when_the_window_changes(page, screen) -> None:
    screen.drop(file(DATA))
    expect(screen.boxes).to_have_count(2)
    expected = pytest.approx([edge / SIDE for edge in cell_box(1, 1)], abs=0.02)
    page.set_viewport_size({"width": 1440, "height": 900})
    screen.until(lambda: screen.box_on_picture(0) == expected, "the box on its square")
    wide = page.evaluate(_PICTURE_WIDTH)
    page.set_viewport_size({"width": 420, "height": 800})
    screen.until(lambda: page.evaluate(_PICTURE_WIDTH) < wide, "a smaller picture")
    screen.until(lambda: screen.box_on_picture(0) == expected, "the box on its square, too")


_PICTURE_WIDTH = """document.querySelector('[data-part="picture"]').clientWidth"""


@pytest.fixture
def scaled_page(browser_type: BrowserType, browser_type_launch_args: dict[str, Any], ratio: float) -> Iterator[Page]:
    """A page of a Chromium that believes in a screen of this many device pixels per CSS pixel.

    Playwright's own emulation of the ratio scales a finished layout instead, which no real screen does.
    """
    flags = [*browser_type_launch_args["args"], f"--force-device-scale-factor={ratio}", "--window-size=1213,907"]
    browser = browser_type.launch(**browser_type_launch_args | {"args": flags})
    yield browser.new_context(no_viewport=True).new_page()
    browser.close()


@pytest.mark.parametrize("ratio", [1, 1.25, 1.5, 2])
def test_outlines_are_sharp(scaled_page, serving, ratio) -> None:
    scaled_page.emulate_media(reduced_motion="reduce")
    screen = Screen.open(scaled_page, serving.url)
    screen.drop(file(encode(scene({(2, 2): "2"}))))
    expect(screen.boxes).to_have_count(1)
    assert scaled_page.evaluate("devicePixelRatio") == ratio
    box = screen.boxes.locator(".edge").bounding_box()
    assert box
    clip = {"x": int(box["x"]) - 8, "y": int(box["y"] + box["height"] / 2), "width": 20, "height": 2}
    shot = cv2.imdecode(np.frombuffer(scaled_page.screenshot(clip=clip), np.uint8), cv2.IMREAD_COLOR)
    colours = [tuple(pixel) for pixel in shot[0].tolist()]
    outline = (0x8F, 0xCF, 0x55)  # The colour of class 2, blue first.
    # Across the left edge: black picture, halo, outline, halo, blue object. Nothing in between the colours of these.
    assert colours.count(outline) == int(2 * ratio + 0.5)
    assert len(set(colours)) == 5


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_light_and_dark_follow_the_visitors_wish(page, open_screen, serving, scheme) -> None:
    page.emulate_media(color_scheme=scheme)
    open_screen(serving)
    red, green, blue = map(
        int, re.findall(r"\d+", page.evaluate("getComputedStyle(document.documentElement).backgroundColor"))
    )
    assert (red + green + blue > 384) == (scheme == "light")


def test_reduced_motion_moves_nothing(page, open_screen, serving) -> None:
    page.emulate_media(reduced_motion="reduce")
    open_screen(serving)
    moving = "[...document.querySelectorAll('*')].filter((e) => getComputedStyle(e).animationName !== 'none').length"
    assert page.evaluate(moving) == 0


def test_everything_is_reached_by_keyboard_and_shows_its_focus(page, screen) -> None:
    screen.drop(file(DATA))
    screen.expect_view_state("answer")
    focused = "document.activeElement"
    reached: list[str] = []
    while "copy" not in reached and len(reached) < 20:
        page.keyboard.press("Tab")
        reached.append(page.evaluate(f"{focused}.dataset.part || {focused}.textContent.trim()"))
        # The slider's focus is drawn around its thumb, which no script can ask about.
        assert page.evaluate(f"{focused}.type === 'range' || getComputedStyle({focused}).outlineStyle !== 'none'")
    assert reached[:7] == ["Handful", "Try it", "Live", "Models", "Monitoring", "Review", "Health"]
    assert reached[7:12] == ["language", "API", "picker-button", "another", "slider"]
    assert len([name for name in reached if "%" in name]) == 2
    assert reached[-1] == "copy"


def test_every_control_has_a_name(screen) -> None:
    screen.drop(file(DATA))
    screen.expect_view_state("answer")
    nameless = screen.page.evaluate(
        """[...document.querySelectorAll('button, input, a, [tabindex]')]
            .filter((e) => !e.textContent.trim() && !e.ariaLabel && !e.labels?.length && !e.querySelector('img[alt]'))
            .map((e) => e.outerHTML)"""
    )
    assert nameless == []
