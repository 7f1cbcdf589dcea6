"""Several pictures at once: none is lost, whatever happens on the way, and none stays in memory for nothing."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Route, expect

from browser.scene import scene
from browser.screen import file
from fakes.packages import build_package, encode
from support.live_serving import LiveServing

THREE = [file(encode(scene({(0, 0): label})), f"{label}.png") for label in ("1", "2", "3")]


@pytest.fixture
def own(tmp_path: Path, dashboard: Path) -> Iterator[LiveServing]:
    """A server of the test's own."""
    with LiveServing(tmp_path / "home", dashboard) as serving:
        serving.mlflow.register(build_package(tmp_path / "1"), aliases=["champion"])
        serving.wait_until_ready()
        yield serving


def _refusal(status: int, kind: str, seconds: int | None) -> dict[str, object]:
    problem = {"type": f"urn:handful:problem:{kind}", "title": "Wait", "status": status, "detail": "wait"}
    return {
        "status": status,
        "headers": {"Retry-After": str(seconds)} if seconds else {},
        "content_type": "application/problem+json",
        "body": json.dumps(problem),
    }


def test_a_picture_whose_model_is_changed_is_asked_again_before_the_next(screen) -> None:
    held: list[Route] = []

    def hold_two(route: Route) -> None:
        return held.append(route) if len(held) < 2 else route.continue_()

    screen.page.route("**/api/predict*", hold_two)
    screen.drop(*THREE)
    screen.until(lambda: len(held) == 1, "the first request")
    screen.pick("previous")
    screen.until(lambda: len(held) == 2, "the second request")
    held[1].continue_()
    expect(screen.part("history-list").get_by_role("button")).to_have_text(["3", "2", "1"])
    expect(screen.part("facts")).to_contain_text("answered by fingers v1")


@pytest.mark.parametrize(("status", "kind"), [(429, "too-many-requests"), (503, "overloaded")])
def test_a_series_goes_on_after_a_refusal_that_passes(screen, console, status, kind) -> None:
    console.expect(f"status of {status}")
    asked: list[Route] = []

    def refuse_the_second(route: Route) -> None:
        asked.append(route)
        if len(asked) == 2:
            return route.fulfill(**_refusal(status, kind, 1))
        return route.continue_()

    screen.page.route("**/api/predict*", refuse_the_second)
    screen.drop(*THREE)
    expect(screen.part("history-list").get_by_role("button")).to_have_text(["3", "2", "1"])
    assert len(asked) == 4


def test_a_series_that_waits_ends_when_the_visitor_turns_to_another(screen, console) -> None:
    console.expect("status of 429")
    screen.page.route("**/api/predict*", lambda route: route.fulfill(**_refusal(429, "too-many-requests", None)))
    screen.drop(*THREE)
    screen.expect_view_state("failed")
    screen.page.unroute("**/api/predict*")
    screen.drop(file(encode(scene({(0, 0): "5"})), "other.png"))
    expect(screen.value).to_have_text("5")
    screen.page.wait_for_timeout(300)
    expect(screen.part("history-list").get_by_role("button")).to_have_text(["5", "!"])


def test_a_series_goes_on_when_the_server_is_back(open_screen, own, console) -> None:
    console.expect("ERR_CONNECTION_REFUSED", "ERR_EMPTY_RESPONSE", "ERR_CONNECTION_RESET", "status of 503")
    screen = open_screen(own)
    expect(screen.part("status")).to_have_text("Ready")
    own.stop()
    screen.drop(*THREE)
    expect(screen.part("notice-title")).to_have_text("The server does not answer")
    own.start()
    expect(screen.part("history-list").get_by_role("button")).to_have_text(["3", "2", "1"])


def test_a_picture_that_nothing_came_of_frees_its_memory(page, open_screen, serving) -> None:
    page.add_init_script(
        """window.live = new Set();
        const [create, revoke] = [URL.createObjectURL, URL.revokeObjectURL];
        URL.createObjectURL = (file) => {
            const url = create.call(URL, file);
            window.live.add(url);
            return url;
        };
        URL.revokeObjectURL = (url) => {
            window.live.delete(url);
            revoke.call(URL, url);
        };"""
    )
    screen = open_screen(serving)
    held: list[Route] = []
    # Taking the route away would let go what is held: the second picture could be answered before the third comes.
    page.route("**/api/predict*", lambda route: held.append(route) if len(held) < 2 else route.continue_())
    for place, one in enumerate(THREE[:2], start=1):
        screen.drop(one)
        screen.until(lambda place=place: len(held) == place, f"request {place}")
    screen.drop(THREE[2])
    expect(screen.value).to_have_text("3")
    assert page.evaluate("live.size") == 1
    screen.drop(THREE[0])
    expect(screen.value).to_have_text("1")
    assert page.evaluate("live.size") == 2


def test_an_answer_that_is_shown_again_names_the_version_that_gave_it(screen) -> None:
    for one in THREE[:2]:
        screen.drop(one)
        expect(screen.part("facts")).to_contain_text(f"{one['name']} ")
        screen.expect_view_state("answer")
    expect(screen.part("facts")).to_contain_text("answered by fingers v2")
    screen.pick("previous")
    expect(screen.part("facts")).to_contain_text("answered by fingers v1")
    screen.part("history-list").get_by_role("button").last.click()
    expect(screen.part("facts")).to_contain_text("1.png")
    expect(screen.part("facts")).to_contain_text("answered by fingers v2")
