"""A classifier's answer: bars, the prediction set, doubts, and the map over the picture."""

from __future__ import annotations

import json
import re
import subprocess

import cv2
import httpx
import numpy as np
import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import expect

from browser.camera import page_with_camera
from browser.screen import Screen, file
from browser.stock import LEAVES
from fakes.graphs import SIZE
from fakes.packages import encode, filled

SIDE = 640


def mostly(main: str, rest: str) -> np.ndarray:
    """A picture in the colour of one class, its right quarter in that of another."""
    pixels = filled(main, LEAVES)
    pixels[:, SIZE * 3 // 4 :] = filled(rest, LEAVES)[:, SIZE * 3 // 4 :]
    return cv2.resize(pixels, (SIDE, SIDE), interpolation=cv2.INTER_NEAREST)


RUST = encode(mostly("rust", "mildew"))
CLEAR = encode(cv2.resize(filled("rust", LEAVES), (SIDE, SIDE)))
GREY = encode(np.full((SIDE, SIDE, 3), 128, np.uint8))
"""All classes alike, and no class's colour."""


@pytest.fixture
def leaves(screen: Screen) -> Screen:
    """The dashboard, with the classifier chosen."""
    screen.open_picker()
    screen.page.locator(".model", has_text="leaves").locator(".version").click()
    expect(screen.part("verdict-label")).to_have_text("Most likely")
    return screen


def show(screen: Screen, data: bytes, name: str) -> None:
    screen.drop(file(data, name))
    expect(screen.part("facts")).to_contain_text(name)
    screen.expect_view_state("answer")


def test_bars_and_the_prediction_set(leaves) -> None:
    show(leaves, CLEAR, "clear.png")
    expect(leaves.value).to_have_text("rust")
    expect(leaves.rows.locator(".name > span:first-child")).to_have_text(["rust", re.compile(r"\w"), re.compile(r"\w")])
    expect(leaves.page.locator(".in-set")).to_have_count(1)
    expect(leaves.rows.first).to_contain_text("in the prediction set")
    expect(leaves.part("verdict-hint")).to_contain_text("this class alone")
    expect(leaves.part("verdict-trust").locator("li")).to_have_text(["Certain enough", "Like the training images"])
    expect(leaves.part("findings-rest")).to_contain_text("Marked: the prediction set")


def test_doubts_are_said_wherever_the_answer_is(leaves) -> None:
    show(leaves, CLEAR, "clear.png")
    show(leaves, GREY, "grey.png")
    expect(leaves.part("verdict-trust").locator(".bad")).to_have_text(["Unlike the training images"])
    expect(leaves.part("verdict-hint")).to_contain_text("nothing that the model was trained on")
    expect(leaves.page.locator(".in-set")).to_have_count(3)
    entries = leaves.part("history-list").get_by_role("button")
    expect(entries).to_have_text([re.compile(r"^\w+\?$"), "rust"])
    expect(leaves.part("announcement")).to_contain_text("nothing that the model was trained on")


def test_the_map_lies_over_the_picture_and_the_slider_covers_it(leaves) -> None:
    show(leaves, RUST, "leaf.png")
    layer, slider = leaves.part("class-map"), leaves.part("map-slider")
    expect(layer).to_be_visible()
    picture, over = leaves.part("picture").bounding_box(), layer.bounding_box()
    assert over == pytest.approx(picture, abs=0.5)
    expect(leaves.part("map-says")).to_contain_text("The evidence for rust is strongest at the upper left.")

    def reddened() -> float:
        """How much redder the picture's middle is than rust, which is green here."""
        box = leaves.part("picture").bounding_box()
        clip = {"x": box["x"] + box["width"] / 4, "y": box["y"] + box["height"] / 2, "width": 20, "height": 20}
        shot = cv2.imdecode(np.frombuffer(leaves.page.screenshot(clip=clip), np.uint8), cv2.IMREAD_COLOR)
        return float(shot[:, :, 2].mean())

    expect(leaves.part("map-value")).to_have_text("60%")
    half = reddened()
    slider.focus()
    leaves.page.keyboard.press("End")
    expect(leaves.part("map-value")).to_have_text("100%")
    full = reddened()
    leaves.page.keyboard.press("Home")
    expect(layer).to_be_hidden()
    assert reddened() < 5 < half - 50 < full - 100
    # What the visitor set holds for the next picture.
    show(leaves, CLEAR, "next.png")
    expect(leaves.part("map-value")).to_have_text("0%")
    expect(layer).to_be_hidden()


@pytest.mark.parametrize("width", [1440, 1024, 390])
def test_nothing_moves_from_answer_to_answer(page, open_screen, serving, width) -> None:
    page.set_viewport_size({"width": width, "height": 900})
    screen = open_screen(serving)
    screen.open_picker()
    page.locator(".model", has_text="leaves").locator(".version").click()
    expect(screen.part("verdict-label")).to_have_text("Most likely")

    def offsets() -> list[int]:
        """How far each part of the panel lies below the panel's top, to the list of classes."""
        return page.evaluate(
            """['verdict', 'map', 'seen'].map((name) => {
                const top = (part) => document.querySelector(part).getBoundingClientRect().top;
                return Math.round(top(`[data-part=${name}]`) - top('.panel'));
            })"""
        )

    seen = [offsets()]
    for name, data in {"clear": CLEAR, "grey": GREY, "rust": RUST}.items():
        show(screen, data, f"{name}.png")
        seen.append(offsets())
    assert len({tuple(each) for each in seen}) == 1, seen


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing(page, leaves, scheme) -> None:
    page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
    show(leaves, GREY, "grey.png")
    value = leaves.part("compare-model").locator("option", has_text="leaves v1").get_attribute("value")
    leaves.part("compare-model").select_option(value)
    expect(leaves.part("compare-sides").locator("figure")).to_have_count(2)
    found = Axe().run(page).response["violations"]
    assert [(one["id"], [node["html"] for node in one["nodes"]]) for one in found] == []


@pytest.mark.parametrize(("width", "language"), [(1440, "en"), (390, "fr"), (320, "fr")])
def test_it_fits_the_window_in_both_languages(page, open_screen, serving, width, language) -> None:
    page.set_viewport_size({"width": width, "height": 800})
    page.add_init_script(f"localStorage.setItem('handful.language', '{language}')")
    screen = open_screen(serving)
    screen.open_picker()
    page.locator(".model", has_text="leaves").locator(".version").click()
    show(screen, GREY, "grey.png")
    expect(screen.part("verdict-trust").locator("li")).to_have_count(2)
    assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_two_answers_side_by_side_have_classes_and_maps(leaves) -> None:
    show(leaves, RUST, "leaf.png")
    value = leaves.part("compare-model").locator("option", has_text="leaves v1").get_attribute("value")
    leaves.part("compare-model").select_option(value)
    sides = leaves.part("compare-sides").locator("figure")
    expect(sides).to_have_count(2)
    for place in range(2):
        expect(sides.nth(place).locator(".finding").first).to_contain_text("rust")
        expect(sides.nth(place).locator(".class-map")).to_be_visible()
    leaves.part("map-slider").fill("0")
    assert sides.last.locator(".class-map").evaluate("(layer) => getComputedStyle(layer).opacity") == "0"


def test_what_is_taken_along_has_the_map(leaves, serving, tmp_path) -> None:
    leaves.page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    show(leaves, RUST, "leaf.png")
    leaves.part("copy").click()
    expect(leaves.part("copy-label")).to_have_text("Copied")
    copied = json.loads(leaves.page.evaluate("navigator.clipboard.readText()"))
    leaves.part("copy-curl").click()
    expect(leaves.part("copy-curl-label")).to_have_text("Copied")
    command = leaves.page.evaluate("navigator.clipboard.readText()")
    (tmp_path / "leaf.png").write_bytes(RUST)
    said = json.loads(subprocess.run(["sh", "-c", command], cwd=tmp_path, capture_output=True, check=True).stdout)
    for answer in (copied, said):
        del answer["timings_ms"], answer["request_id"]
    assert copied == said
    assert said["explanation"]["name"] == "rust"
    with leaves.page.expect_download() as download:
        leaves.part("download").click()
    assert download.value.suggested_filename == "leaf-class.jpg"
    drawn = cv2.imread(str(download.value.path()))
    assert drawn[SIDE // 2, 100, 2] > 60, "the map's red lies on the green"


def test_a_version_without_a_map_says_so(leaves) -> None:
    def without(route) -> None:
        response = route.fetch()
        answer = response.json()
        for name in ("explanation", "prediction_set", "out_of_distribution"):
            answer[name] = None
        route.fulfill(response=response, json=answer)

    leaves.page.route("**/api/predict*", without)
    show(leaves, CLEAR, "old.png")
    expect(leaves.part("map-says")).to_have_text("This version has no map.")
    expect(leaves.part("map-slider")).to_be_disabled()
    expect(leaves.part("verdict-trust").locator("li").last).to_have_text("Not compared with training images")
    expect(leaves.page.locator(".in-set")).to_have_count(0)


def test_live_shows_classes_doubts_and_the_map(browser_type, browser_type_launch_args, tmp_path, serving) -> None:
    jpeg = encode(mostly("rust", "mildew"), ".jpg")
    with page_with_camera(browser_type, browser_type_launch_args, tmp_path, jpeg) as page:
        page.goto(f"{serving.url}/#live")
        part = lambda name: page.locator(f'[data-part="live-{name}"]')  # noqa: E731
        option = part("model").locator("option", has_text="leaves")
        part("model").select_option(option.get_attribute("value"))
        expect(part("map")).to_be_visible()
        expect(part("slider")).to_be_hidden()
        part("start").click()
        expect(part("count")).to_have_text(re.compile("^rust"))
        expect(part("classes").locator(".finding")).to_have_count(3)
        expect(part("trust").locator("li")).to_have_count(2)
        layer = page.locator(".live-picture .class-map")
        expect(layer).to_be_hidden()
        part("map").fill("0.8")
        expect(layer).to_be_visible()
        found = Axe().run(page).response["violations"]
        assert [(one["id"], [node["html"] for node in one["nodes"]]) for one in found] == []
        part("map").fill("0")
        expect(layer).to_be_hidden()
        part("start").click()
        expect(layer).to_be_hidden()


def test_the_list_of_models_ranks_a_classifiers_scores(screen, serving) -> None:
    model = next(one for one in httpx.get(f"{serving.url}/api/models").json()["models"] if one["name"] == "leaves")
    assert model["task"] == "classify"
    screen.open_picker()
    entry = screen.page.locator(".model", has_text="leaves")
    expect(entry).to_contain_text("classification")
    expect(entry).to_contain_text("macro F1 0.930")


def test_health_tells_how_many_answers_were_doubtful(page, leaves) -> None:
    show(leaves, GREY, "grey.png")
    page.locator('[data-to="health"]').click()
    expect(page.locator('[data-figure="unlike"]')).to_have_text(re.compile(r"^([1-9]\d*|<1)%$"))
    expect(page.locator('[data-figure="uncertain"]')).to_have_text(re.compile("%$"))
