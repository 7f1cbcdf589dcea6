"""What the page shows when there is no answer."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import Route, expect

from browser.scene import SIDE, cell_box, scene
from browser.screen import dimensions, file
from browser.stock import MAX_BODY
from fakes.packages import build_package, encode
from support.live_serving import LiveServing

DATA = encode(scene({(1, 1): "5", (4, 4): "2"}))


@pytest.fixture
def own(tmp_path: Path, dashboard: Path) -> Iterator[LiveServing]:
    """A server of the test's own, without any model."""
    with LiveServing(tmp_path / "home", dashboard) as serving:
        yield serving


def test_at_first_it_invites_and_tells_what_the_model_knows(screen) -> None:
    screen.expect_view_state("empty")
    expect(screen.page.get_by_role("button", name="Choose a picture")).to_be_visible()
    chips = screen.page.locator(".chip")
    expect(chips).to_have_text(["0", "1", "2", "3", "4", "5", "unknown"])


@pytest.mark.parametrize(
    ("data", "name", "status", "title"),
    [
        (b"shopping: milk", "list.txt", 415, "This file cannot be read as a picture"),
        (DATA[: len(DATA) // 2], "half.png", 422, "This picture is damaged"),
        (DATA + os.urandom(MAX_BODY), "large.png", 413, "This picture is too large"),
        (b"", "nothing.png", 400, "The server said no"),
    ],
    ids=["415", "422", "413", "400"],
)
def test_the_servers_words_say_why_there_is_no_answer(screen, console, data, name, status, title) -> None:
    console.expect(f"status of {status}")
    with screen.page.expect_response("**/api/predict*") as asked:
        screen.drop(file(data, name))
    assert asked.value.status == status
    screen.expect_view_state("failed")
    expect(screen.part("notice-title")).to_have_text(title)
    expect(screen.part("notice-detail")).to_have_text(asked.value.json()["detail"])
    expect(screen.part("notice-hint")).to_have_text(f"Request {asked.value.json()['request_id']}")
    expect(screen.page.get_by_role("alert")).to_contain_text(asked.value.json()["detail"])
    screen.drop(file(DATA))
    expect(screen.value).to_have_text("7")


def test_without_a_model_it_says_which_command_makes_one_and_notices_when_it_is_there(
    open_screen, own, console, tmp_path
) -> None:
    console.expect("status of 503")
    screen = open_screen(own)
    screen.expect_view_state("no-model")
    expect(screen.part("status")).to_have_text("No model yet")
    expect(screen.part("notice-title")).to_have_text("No model yet")
    commands = re.findall(r"`(handful [^`]+)`", httpx.get(f"{own.url}/health/ready").json()["detail"])
    assert commands
    expect(screen.part("notice").locator("code").filter(has_text="handful ")).to_have_text(commands)
    own.mlflow.register(build_package(tmp_path / "1"), aliases=["champion"])
    expect(screen.part("status")).to_have_text("Ready")
    screen.expect_view_state("empty")
    expect(screen.part("picker-button")).to_have_accessible_name(re.compile("fingers v1 champion"))


def test_a_screen_reader_is_not_told_the_same_at_every_poll(open_screen, own, console) -> None:
    console.expect("status of 503")
    screen = open_screen(own)
    screen.expect_view_state("no-model")
    words = screen.part("notice-detail")
    words.evaluate("(element) => (element.firstChild.kept = true)")
    with screen.page.expect_response("**/api/health/ready"):
        screen.page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
    screen.page.wait_for_timeout(200)
    assert words.evaluate("(element) => element.firstChild.kept === true")


def test_a_picture_that_waited_for_the_first_model_is_answered_when_it_is_there(
    open_screen, own, console, tmp_path
) -> None:
    console.expect("status of 503")
    screen = open_screen(own)
    screen.expect_view_state("no-model")
    screen.drop(file(DATA))
    screen.expect_view_state("failed")
    expect(screen.part("notice-title")).to_have_text("No model yet")
    own.mlflow.register(build_package(tmp_path / "1"), aliases=["champion"])
    expect(screen.value).to_have_text("7")


def test_a_server_that_is_gone_is_named_and_its_return_noticed(open_screen, own, console, tmp_path) -> None:
    console.expect("ERR_CONNECTION_REFUSED", "ERR_EMPTY_RESPONSE", "ERR_CONNECTION_RESET")
    own.mlflow.register(build_package(tmp_path / "1"), aliases=["champion"])
    own.wait_until_ready()
    screen = open_screen(own)
    screen.drop(file(DATA))
    expect(screen.value).to_have_text("7")
    own.stop()
    screen.drop(file(DATA, "later.png"))
    screen.expect_view_state("failed")
    expect(screen.part("notice-title")).to_have_text("The server does not answer")
    expect(screen.part("status")).to_have_text("No connection")
    console.expect("status of 503")  # Started again, it first loads its model.
    own.start()
    expect(screen.value).to_have_text("7")
    expect(screen.part("facts")).to_contain_text("later.png")


def test_an_answer_stays_on_the_screen_although_the_server_went_away(open_screen, own, console, tmp_path) -> None:
    console.expect("ERR_CONNECTION_REFUSED", "ERR_EMPTY_RESPONSE", "ERR_CONNECTION_RESET")
    own.mlflow.register(build_package(tmp_path / "1"), aliases=["champion"])
    own.wait_until_ready()
    screen = open_screen(own)
    screen.drop(file(DATA))
    expect(screen.value).to_have_text("7")
    own.stop()
    screen.page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
    expect(screen.part("status")).to_have_text("No connection")
    expect(screen.value).to_have_text("7")
    screen.set_threshold(1)
    expect(screen.value).to_have_text("0")


def test_a_proxy_that_finds_no_server_counts_as_no_server(screen, console) -> None:
    console.expect("status of 502")
    screen.page.route("**/api/**", lambda route: route.fulfill(status=502, body="<h1>Bad Gateway</h1>"))
    screen.drop(file(DATA))
    expect(screen.part("notice-title")).to_have_text("The server does not answer")


def test_a_picture_that_a_proxy_refuses_without_words_is_called_too_large(screen, console) -> None:
    console.expect("status of 413")
    screen.page.route("**/api/predict*", lambda route: route.fulfill(status=413, body="<h1>413</h1>"))
    screen.drop(file(DATA))
    expect(screen.part("notice-title")).to_have_text("This picture is too large")
    expect(screen.part("notice-detail")).to_have_text("It gave no reason but the status 413.")


def test_too_many_requests_can_be_tried_again(screen, console) -> None:
    console.expect("status of 429")
    problem = '{"title": "Too many requests", "status": 429, "detail": "try again in 2 s", "request_id": "x"}'
    refuse = lambda route: route.fulfill(status=429, content_type="application/problem+json", body=problem)  # noqa: E731
    screen.page.route("**/api/predict*", refuse)
    screen.drop(file(DATA))
    expect(screen.part("notice-detail")).to_have_text("try again in 2 s")
    screen.page.unroute("**/api/predict*")
    screen.part("retry").click()
    expect(screen.value).to_have_text("7")


@pytest.mark.parametrize(("status", "kind"), [(429, "too-many-requests"), (503, "overloaded")])
def test_it_counts_down_and_tries_again_by_itself(screen, console, status, kind) -> None:
    screen.page.clock.install()
    console.expect(f"status of {status}")
    refusals: list[Route] = []

    def refuse(route: Route) -> None:
        refusals.append(route)
        if len(refusals) > 1:
            return route.continue_()
        problem = {"type": f"urn:handful:problem:{kind}", "title": "Wait", "status": status, "detail": "wait"}
        return route.fulfill(
            status=status,
            headers={"Retry-After": "90"},
            content_type="application/problem+json",
            body=json.dumps(problem),
        )

    screen.page.route("**/api/predict*", refuse)
    screen.drop(file(DATA))
    expect(screen.part("retry")).to_have_text(re.compile(r"Try again · \d\d s"))
    # What counts down is no part of what a screen reader says when it changes.
    expect(screen.page.get_by_role("alert")).to_contain_text("wait")
    expect(screen.page.get_by_role("alert").get_by_role("button")).to_have_count(0)
    screen.page.clock.run_for(80_000)
    expect(screen.part("retry")).to_have_text(re.compile(r"Try again · \d s"))
    screen.page.clock.run_for(10_000)
    expect(screen.value).to_have_text("7")
    assert len(refusals) == 2


def test_a_slow_answer_shows_that_it_is_under_way(screen) -> None:
    screen.page.clock.install(time=0)
    screen.page.clock.pause_at(3600)
    held: list[Route] = []
    screen.page.route("**/api/predict*", lambda route: held.append(route))  # noqa: PLW0108  # Playwright marks what it calls.
    screen.drop(file(DATA))
    screen.expect_view_state("busy")
    expect(screen.part("stage")).to_have_attribute("aria-busy", "true")
    expect(screen.page.locator(".working-text")).to_be_visible()
    expect(screen.part("slow")).to_be_hidden()
    screen.page.clock.run_for(2100)
    expect(screen.part("slow")).to_be_visible()
    held[0].continue_()
    expect(screen.value).to_have_text("7")
    expect(screen.page.locator(".working")).to_be_hidden()


def test_the_answer_to_the_picture_before_is_never_shown_for_the_next(screen) -> None:
    screen.drop(file(DATA))
    expect(screen.boxes).to_have_count(2)
    held: list[Route] = []
    screen.page.route("**/api/predict*", lambda route: held.append(route))  # noqa: PLW0108  # As above.
    screen.drop(file(encode(scene({(0, 0): "1"})), "second.png"))
    screen.expect_view_state("busy")
    expect(screen.boxes).to_have_count(0)
    with screen.page.expect_event("requestfailed", lambda request: "ERR_ABORTED" in (request.failure or "")):
        screen.drop(file(encode(scene({(0, 0): "3"})), "third.png"))
    expect(screen.part("facts")).to_contain_text("third.png")
    while len(held) < 2:
        screen.page.wait_for_timeout(20)
    held[1].continue_()
    expect(screen.value).to_have_text("3")
    held[0].fulfill(json={"model": "fingers", "version": 2, "task": "detect", "detections": []})
    screen.page.wait_for_timeout(200)
    expect(screen.value).to_have_text("3")


def test_what_is_dropped_without_a_file_is_no_picture(screen) -> None:
    screen.drop()
    expect(screen.part("remark")).to_have_text("That was no file. Save the picture and drop it here.")
    screen.expect_view_state("empty")


def test_a_picture_that_the_browser_cannot_show_is_boxed_on_a_blank(screen) -> None:
    # Chromium knows no TIFF; the server does.
    screen.drop(file(encode(scene({(1, 1): "5"}), ".tiff"), "scan.tiff", "image/tiff"))
    expect(screen.value).to_have_text("5")
    expect(screen.part("remark")).to_contain_text("This browser cannot show this kind of picture.")
    expect(screen.part("facts")).to_contain_text(dimensions(SIDE, SIDE))
    assert screen.box_on_picture(0) == pytest.approx([edge / SIDE for edge in cell_box(1, 1)], abs=0.01)


def test_names_from_the_server_are_text_and_never_markup(screen) -> None:
    name = '<img src=x onerror="document.title=1">'
    answer = {
        "model": "fingers",
        "version": 2,
        "task": "detect",
        "count": 5,
        "detections": [{"class": 5, "name": name, "confidence": 0.9, "box": [0, 0, 100, 100]}],
        "image": {"width": 640, "height": 640},
        "thresholds": {"confidence": 0.05, "iou": 0.7},
        "timings_ms": {"decode": 1, "preprocess": 1, "inference": 1, "postprocess": 1, "total": 4},
        "request_id": "x",
    }
    screen.page.route("**/api/predict*", lambda route: route.fulfill(json=answer))
    screen.drop(file(DATA))
    expect(screen.rows.locator(".name")).to_have_text(re.compile(re.escape(name)))
    expect(screen.page.locator(".panel img, .stage svg img")).to_have_count(0)
    expect(screen.page).to_have_title("Handful")
