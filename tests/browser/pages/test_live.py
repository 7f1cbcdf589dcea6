"""Live: Chromium's camera is a film of one scene, and goes through the real server's WebSocket."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import pytest
from playwright.sync_api import BrowserType, Page, expect

from browser.camera import page_with_camera
from browser.scene import SIDE, scene
from browser.stock import LEAVES
from fakes.packages import build_package, encode
from handful_serving.adapters.key_file import KeyFile
from handful_serving.domain.auth import ApiKey, digest_of
from support.live_serving import LiveServing
from support.waiting import until

_SEEN = {(1, 2): "5", (5, 4): "2"}


@pytest.fixture
def refusals() -> list[str]:
    """Words of the complaints that a test expects of the browser."""
    return []


@pytest.fixture
def camera_page(
    browser_type: BrowserType, browser_type_launch_args: dict[str, Any], tmp_path: Path, refusals: list[str]
) -> Iterator[Page]:
    """A page of a Chromium whose camera sees a count of 7."""
    jpeg = encode(cv2.resize(scene(_SEEN), (640, 640)), ".jpg")
    complaints: list[str] = []
    with page_with_camera(browser_type, browser_type_launch_args, tmp_path, jpeg) as page:
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("console", lambda m: complaints.append(m.text) if m.type in {"error", "warning"} else None)
        yield page
    assert [line for line in complaints if not any(words in line for words in refusals)] == []


def _part(page: Page, name: str) -> Any:
    return page.locator(f'[data-part="live-{name}"]')


def _until(page: Page, holds: str) -> None:
    """Wait for what the page itself says; Playwright's own waiting is forbidden by the content policy."""
    until(lambda: page.evaluate(holds), holds, sleep=lambda seconds: page.wait_for_timeout(1000 * seconds))


def test_the_camera_is_counted_frame_by_frame(camera_page, serving) -> None:
    page = camera_page
    page.goto(f"{serving.url}/#live")
    sent: list[Any] = []
    answers: list[Any] = []

    def watch(socket: Any) -> None:
        socket.on("framesent", lambda frame: sent.append(frame))  # noqa: PLW0108  # Playwright marks what it calls.
        socket.on("framereceived", lambda frame: answers.append(frame))  # noqa: PLW0108  # As above.

    page.on("websocket", watch)
    _part(page, "start").click()
    expect(_part(page, "count")).to_have_text("7")
    expect(page.locator(".live-frame .box")).to_have_count(2)
    expect(_part(page, "rate")).to_have_text(re.compile(r"\d"))
    expect(_part(page, "latency")).to_contain_text("ms")
    expect(_part(page, "dropped")).to_have_text(re.compile(r"\d"))
    # One in flight: never more than one frame beyond the answers; the first message from the server is its greeting.
    assert isinstance(sent[0], bytes)
    assert len(sent) <= len(answers) + 1
    _part(page, "slider").fill("1")
    expect(_part(page, "count")).to_have_text("0")
    _part(page, "start").click()
    expect(page.locator(".live-frame .box")).to_have_count(0)
    assert page.evaluate("document.querySelector('video').srcObject === null")


def test_a_connection_takes_another_model_while_it_runs(camera_page, serving) -> None:
    page = camera_page
    page.goto(f"{serving.url}/#live")
    _part(page, "start").click()
    expect(_part(page, "count")).to_have_text("7")
    option = _part(page, "model").locator("option", has_text="leaves")
    _part(page, "model").select_option(option.get_attribute("value"))
    expect(_part(page, "count")).to_have_text(re.compile("|".join(LEAVES)))


def test_a_model_that_is_refused_is_not_named_and_it_stays_said_why(camera_page, serving) -> None:
    page = camera_page
    page.add_init_script(
        """const Real = WebSocket;
        window.WebSocket = class extends Real { constructor(...given) { super(...given); window.socket = this; } };"""
    )
    page.goto(f"{serving.url}/#live")
    _part(page, "start").click()
    expect(_part(page, "count")).to_have_text("7")
    broken = _part(page, "model").locator("option", has_text="fingers v1")
    # As if it had gone meanwhile.
    broken.evaluate("(option) => (option.value = JSON.stringify({ model: 'fingers', version: 99 }))")
    _part(page, "model").select_option(label=broken.inner_text())
    expect(_part(page, "says")).to_contain_text("99")
    expect(_part(page, "model")).to_have_value("{}")
    before = int(_part(page, "answered").inner_text())
    _until(page, f"Number(document.querySelector('[data-part=live-answered]').textContent) > {before + 2}")
    expect(_part(page, "says")).to_contain_text("99")
    expect(_part(page, "says")).to_contain_class("alert")
    leaves = _part(page, "model").locator("option", has_text="leaves").get_attribute("value")
    _part(page, "model").select_option(leaves)
    expect(_part(page, "count")).to_have_text(re.compile("|".join(LEAVES)))
    expect(_part(page, "says")).to_have_text("Live")
    expect(_part(page, "model")).to_have_value(leaves)
    _part(page, "model").select_option(label=broken.inner_text())
    expect(_part(page, "says")).to_contain_text("99")
    page.evaluate("socket.close()")
    expect(_part(page, "says")).to_contain_text("The server ended the connection")


def test_a_model_that_is_chosen_while_the_connection_opens_answers(camera_page, serving) -> None:
    page = camera_page
    page.goto(f"{serving.url}/#live")
    leaves = _part(page, "model").locator("option", has_text="leaves").get_attribute("value")
    page.evaluate(
        """(value) => {
            const Real = WebSocket;
            window.WebSocket = class extends Real {
                constructor(...given) {
                    super(...given);
                    // The visitor is quicker than the network.
                    queueMicrotask(() => {
                        const list = document.querySelector('[data-part=live-model]');
                        list.value = value;
                        list.dispatchEvent(new Event('change'));
                    });
                }
            };
        }""",
        leaves,
    )
    _part(page, "start").click()
    expect(_part(page, "count")).to_have_text(re.compile("|".join(LEAVES)))


def test_frames_passed_over_are_counted_without_the_browsers_help_too(camera_page, serving) -> None:
    page = camera_page
    page.add_init_script("delete HTMLVideoElement.prototype.requestVideoFrameCallback")
    page.goto(f"{serving.url}/#live")
    _part(page, "start").click()
    _until(page, "Number(document.querySelector('[data-part=live-answered]').textContent) > 2")
    expect(_part(page, "dropped")).to_have_text("0")


def test_boxes_lie_where_the_objects_are_in_a_narrow_window(
    browser_type, browser_type_launch_args, tmp_path, serving
) -> None:
    wide = encode(cv2.resize(scene(_SEEN)[: SIDE // 2], (1280, 480)), ".jpg")
    size = {"width": 320, "height": 700}
    with page_with_camera(browser_type, browser_type_launch_args, tmp_path, wide, viewport=size) as page:
        page.goto(f"{serving.url}/#live")
        _part(page, "start").click()
        expect(page.locator(".live-frame .box")).to_have_count(1)
        _until(page, "document.querySelector('video').clientHeight < 200")
        shown = page.evaluate(
            "(({clientWidth, clientHeight}) => clientWidth / clientHeight)(document.querySelector('video'))"
        )
        assert shown == pytest.approx(1280 / 480, abs=0.02)


def test_leaving_the_view_ends_the_camera(camera_page, serving) -> None:
    page = camera_page
    page.goto(f"{serving.url}/#live")
    _part(page, "start").click()
    expect(_part(page, "count")).to_have_text("7")
    page.get_by_role("link", name="Try it").click()
    expect(page.locator("video")).to_have_js_property("srcObject", None)


def test_a_key_is_asked_for_where_none_or_a_removed_one_was_sent(camera_page, dashboard, tmp_path, refusals) -> None:
    page = camera_page
    refusals.append("status of 401")
    keys = KeyFile(tmp_path / "home" / "keys.json")
    first, second = (ApiKey(name, digest_of(f"key-{name}"), frozenset({"predict"}), None) for name in ("1", "2"))
    keys.write([first])
    with LiveServing(tmp_path / "home", dashboard, {"auth": "on"}) as locked:
        locked.mlflow.register(build_package(tmp_path / "package"), aliases=["champion"])
        locked.wait_until_ready()
        page.goto(f"{locked.url}/#live")
        page.get_by_role("button", name="Not now").click()
        _part(page, "start").click()
        for key in ("key-1", "key-2"):
            page.get_by_label("Key", exact=True).fill(key)
            page.get_by_role("button", name="Use this key").click()
            expect(_part(page, "count")).to_have_text("7")
            expect(_part(page, "says")).to_have_text("Live")
            keys.write([second])
        page.goto("about:blank")


_SLOW_CAMERA = """
    window.streams = [];
    const open = navigator.mediaDevices.getUserMedia.bind(navigator.mediaDevices);
    navigator.mediaDevices.getUserMedia = async (wish) => {
        const stream = await open(wish);
        window.streams.push(stream);
        if (window.slow === 'open') await new Promise((done) => (window.goOn = done));
        return stream;
    };
    const play = HTMLMediaElement.prototype.play;
    HTMLMediaElement.prototype.play = async function () {
        if (window.slow !== 'play') return play.call(this);
        await new Promise((done) => (window.goOn = done));
        throw new DOMException('', 'AbortError');
    };
"""


@pytest.mark.parametrize("slow", ["open", "play"])
@pytest.mark.parametrize("way", ["stop", "leave"])
def test_a_camera_that_is_still_starting_is_turned_off_too(camera_page, serving, slow, way) -> None:
    page = camera_page
    page.add_init_script(f"window.slow = '{slow}';{_SLOW_CAMERA}")
    page.goto(f"{serving.url}/#live")
    _part(page, "start").click()
    _until(page, "'goOn' in window")
    if way == "stop":
        _part(page, "start").click()
    else:
        page.get_by_role("link", name="Try it").click()
        expect(page.locator('[data-view="live"]')).to_be_hidden()
    page.evaluate("window.goOn()")
    _until(page, "streams.length === 1 && streams[0].getTracks().every((track) => track.readyState === 'ended')")
    expect(page.locator("video")).to_have_js_property("srcObject", None)
    expect(_part(page, "start")).to_have_text("Start the camera")
    expect(_part(page, "says")).to_be_empty()


@pytest.mark.parametrize(
    ("failure", "words"),
    [
        ("NotAllowedError", "The camera was refused. Allow it for this page"),
        ("NotFoundError", "No camera was found. Plug one in"),
        ("NotReadableError", "in use by another program"),
        ("insecure", "only to secure pages"),
    ],
)
def test_a_camera_that_is_not_to_be_had_says_what_to_do(page, serving, failure, words) -> None:
    if failure == "insecure":
        page.add_init_script("Object.defineProperty(navigator, 'mediaDevices', { value: undefined })")
    else:
        page.add_init_script(
            f"navigator.mediaDevices.getUserMedia = () => Promise.reject(new DOMException('', '{failure}'))"
        )
    page.goto(f"{serving.url}/#live")
    _part(page, "start").click()
    expect(_part(page, "says")).to_contain_text(words)
    expect(_part(page, "start")).to_have_text("Start the camera")
