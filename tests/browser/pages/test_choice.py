"""Choosing the model and its version."""

from __future__ import annotations

import re
import time

from playwright.sync_api import Route, expect

from browser.scene import scene
from browser.screen import file
from browser.stock import LEAVES
from fakes.packages import build_package, encode
from support.live_serving import LiveServing

DATA = encode(scene({(1, 1): "5"}))


def test_the_champion_is_what_is_asked_unless_another_is_chosen(screen) -> None:
    expect(screen.part("picker-button")).to_have_accessible_name("Model: fingers v2 champion mAP@0.5 0.913")


def test_every_version_is_listed_with_alias_and_metrics(screen) -> None:
    rows = screen.open_picker()
    expect(rows).to_have_count(4)
    expect(rows.nth(1)).to_contain_text("champion")
    expect(rows.nth(1)).to_have_attribute("aria-current", "true")
    expect(rows.nth(2)).to_contain_text("previous")
    expect(rows.nth(2)).to_contain_text("mAP@0.5 0.810")
    expect(rows.nth(2)).to_contain_text("count accuracy 0.700")


def test_a_chosen_version_answers_and_the_picture_is_asked_again(screen) -> None:
    screen.drop(file(DATA))
    expect(screen.rows).to_contain_text("98%")
    with screen.page.expect_response("**/api/predict*") as asked:
        screen.pick("previous")
    assert asked.value.json()["version"] == 1
    expect(screen.rows).to_contain_text("95%")
    expect(screen.part("picker-button")).to_have_accessible_name("Model: fingers v1 previous mAP@0.5 0.810")


def test_a_late_word_on_a_model_is_never_taken_for_one_on_the_next(screen) -> None:
    chips = screen.page.locator(".chip")
    expect(chips).to_have_count(7)
    held: list[Route] = []
    screen.page.route("**/api/classes?model=fingers*", lambda route: held.append(route))  # noqa: PLW0108  # Playwright marks what it calls.
    screen.pick("previous")
    screen.until(lambda: held, "the request")
    screen.open_picker()
    screen.page.locator(".model", has_text="leaves").locator(".version").click()
    expect(chips).to_have_text(LEAVES)
    with screen.page.expect_response("**/api/classes?model=fingers*"):
        held[0].continue_()
    screen.page.wait_for_timeout(200)
    expect(chips).to_have_text(LEAVES)


def test_a_version_that_cannot_be_loaded_says_why_and_is_then_barred(screen, console) -> None:
    console.expect("status of 503")
    screen.drop(file(DATA))
    expect(screen.boxes).to_have_count(1)
    screen.open_picker().first.click()
    screen.expect_view_state("failed")
    expect(screen.part("notice-detail")).to_contain_text("differs from the hash in its manifest")
    refused = screen.open_picker().first
    expect(refused).to_be_disabled()
    expect(refused.locator(".reason")).to_contain_text("differs from the hash")
    screen.page.keyboard.press("Escape")
    screen.pick("mAP@0.5 0.913")
    screen.expect_view_state("answer")


def test_the_list_is_worked_by_keyboard(screen) -> None:
    button = screen.part("picker-button")
    button.focus()
    screen.page.keyboard.press("Enter")
    expect(button).to_have_attribute("aria-expanded", "true")
    expect(screen.page.locator(".version[aria-current]")).to_be_focused()
    screen.page.keyboard.press("ArrowDown")
    expect(screen.page.locator(".version", has_text="previous")).to_be_focused()
    screen.page.keyboard.press("Enter")
    expect(button).to_be_focused()
    expect(button).to_contain_text("v1")
    screen.page.keyboard.press("Enter")
    screen.page.keyboard.press("Escape")
    expect(screen.part("picker-panel")).to_be_hidden()
    expect(button).to_be_focused()


def test_the_keyboard_comes_to_a_list_that_is_late(screen) -> None:
    held: list[Route] = []
    screen.page.route("**/api/models", lambda route: held.append(route))  # noqa: PLW0108  # Playwright marks what it calls.
    screen.page.reload()
    button = screen.part("picker-button")
    screen.expect_view_state("empty")
    screen.until(lambda: held, "the request")
    button.focus()
    screen.page.keyboard.press("Enter")
    expect(screen.part("picker-panel")).to_be_focused()
    for route in held:
        route.continue_()
    expect(screen.page.locator(".version[aria-current]")).to_be_focused()
    screen.page.keyboard.press("ArrowDown")
    expect(screen.page.locator(".version", has_text="previous")).to_be_focused()


def test_a_list_that_changes_leaves_the_keyboard_where_it_is(screen) -> None:
    """A new version comes on top: the focus stays with the version, not with its place in the list."""
    held: list[Route] = []
    screen.page.route("**/api/models", lambda route: held.append(route))  # noqa: PLW0108  # As above.
    button = screen.part("picker-button")
    expect(button).to_contain_text("v2")
    button.focus()
    screen.page.keyboard.press("Enter")
    screen.page.keyboard.press("ArrowDown")
    expect(screen.page.locator(".version", has_text="previous")).to_be_focused()
    screen.until(lambda: held, "the request")
    listing = held[0].fetch().json()
    (fingers,) = (model for model in listing["models"] if model["name"] == "fingers")
    fingers["versions"].append(fingers["versions"][0] | {"version": 9, "aliases": []})
    held[0].fulfill(json=listing)
    expect(screen.page.locator(".version", has_text="v9")).to_be_visible()
    expect(screen.page.locator(".version", has_text="previous")).to_be_focused()


def test_a_click_elsewhere_closes_the_list(screen) -> None:
    screen.open_picker()
    screen.page.locator(".brand").hover()
    screen.page.mouse.down()
    expect(screen.part("picker-panel")).to_be_hidden()


def test_who_follows_the_champion_gets_the_new_one(open_screen, tmp_path, dashboard) -> None:
    with LiveServing(tmp_path / "home", dashboard) as serving:
        serving.mlflow.register(build_package(tmp_path / "1"), aliases=["champion"])
        serving.wait_until_ready()
        screen = open_screen(serving)
        screen.drop(file(DATA))
        expect(screen.part("picker-button")).to_have_accessible_name(re.compile("v1 champion"))
        serving.mlflow.register(build_package(tmp_path / "2", sharpness=8), aliases=["champion"])
        expect(screen.rows).to_have_count(1)
        # The champion moves once it is loaded; until then the former answers.
        until = time.monotonic() + 60
        while "98%" not in screen.rows.inner_text():
            assert time.monotonic() < until
            with screen.page.expect_response("**/api/predict*"):
                screen.drop(file(DATA))
            screen.expect_view_state("answer")
            screen.page.wait_for_timeout(100)
        expect(screen.rows).to_contain_text("98%")
        expect(screen.part("picker-button")).to_have_accessible_name(re.compile("v2 champion"))
