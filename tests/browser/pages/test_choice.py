"""Choosing the model and its version."""

from __future__ import annotations

import re

from playwright.sync_api import expect

from browser.scene import scene
from browser.screen import file
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


def test_a_version_that_cannot_be_loaded_says_why_and_is_then_barred(screen, console) -> None:
    console.expect("status of 503")
    screen.drop(file(DATA))
    expect(screen.boxes).to_have_count(1)
    screen.open_picker().first.click()
    screen.expect_face("failed")
    expect(screen.part("notice-detail")).to_contain_text("differs from the hash in its manifest")
    refused = screen.open_picker().first
    expect(refused).to_be_disabled()
    expect(refused.locator(".reason")).to_contain_text("differs from the hash")
    screen.page.keyboard.press("Escape")
    screen.pick("mAP@0.5 0.913")
    screen.expect_face("answer")


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
        # The champion moves once it is loaded; until then the former answers.
        for _ in range(50):
            screen.drop(file(DATA))
            screen.expect_face("answer")
            if "98%" in screen.rows.inner_text():
                break
            screen.page.wait_for_timeout(100)
        expect(screen.rows).to_contain_text("98%")
        expect(screen.part("picker-button")).to_have_accessible_name(re.compile("v2 champion"))
