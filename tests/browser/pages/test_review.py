"""Review: an unsure answer is kept, shown, corrected by keys, mouse and fingers, and never by two people at once."""

from __future__ import annotations

import re
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect

from browser.scene import cell_box, scene
from browser.screen import Screen, file
from fakes.packages import build_package, encode
from handful_core.review import CapturedPicture, ReviewedObject, ReviewStore, ScoredObject
from handful_quickstart.sample import draw_scene
from handful_serving.adapters.key_file import KeyFile
from handful_serving.domain.auth import ApiKey, Scope, digest_of
from support.captured import draw_leaf, draw_picture, draw_review, review_store
from support.live_monitor import LiveMonitor
from support.live_serving import LiveServing

SIDE = 320
_BASE: dict[str, Any] = {"width": SIDE, "height": SIDE}
_SEED = 11
LEAVES = ("healthy", "rust", "mildew")


@dataclass
class Desk:
    """A server that keeps pictures, its monitor, and what they keep."""

    serving: LiveServing
    store: ReviewStore

    def add(self, model: str = "fingers", **changes: Any) -> CapturedPicture:
        """Keep a picture of a square, which the model takes for a 3."""
        jpeg = changes.pop("jpeg", None) or encode(scene({(1, 1): "4"})[:SIDE, :SIDE], ".jpg")
        drawn = draw_leaf if model == "leaves" else draw_picture
        shown = {} if model == "leaves" else {"objects": (ScoredObject("3", 0.41, (40.0, 40.0, 120.0, 120.0)),)}
        picture = drawn(model, version="1", **_BASE | {"at": datetime.now(UTC)} | shown | changes)
        self.store.add(picture, jpeg)
        return picture

    def open(self, page: Page, *, ready: bool = True) -> None:
        """Go to the view."""
        Screen.open(page, f"{self.serving.url}/#review")
        if ready:
            expect(part(page, "review-picture")).to_be_visible()
            expect(part(page, "review-desk")).to_be_focused()


@pytest.fixture(scope="module")
def shared_desk(tmp_path_factory: pytest.TempPathFactory, dashboard: Path) -> Iterator[Desk]:
    root = tmp_path_factory.mktemp("review")
    settings = {"capture": "unsure", "capture_threshold": 0.4, "capture_share": 0, "capture_unblurred": True}
    serving = LiveServing(root / "home", dashboard, settings | {"face_blur": "off"})
    store = review_store(serving.mlflow)
    monitor = LiveMonitor(reviews=store)
    serving.settings["monitor"] = monitor.url
    serving.mlflow.register(build_package(root / "1", sharpness=2.4), aliases=["champion"])
    leaves = build_package(root / "leaves", head="probabilities", name="leaves", classes=LEAVES)
    serving.mlflow.register(leaves, "leaves", aliases=["champion"])
    with monitor, serving:
        serving.wait_until_ready()
        yield Desk(serving, store)


@pytest.fixture
def desk(shared_desk: Desk) -> Desk:
    """Without pictures. Not emptied by `delete_all`: that would refuse the ones that a test adds next."""
    for model in ("fingers", "leaves"):
        for picture in shared_desk.store.pictures(model):
            shared_desk.store.delete(picture.id)
    return shared_desk


def part(page: Page, name: str) -> Any:
    return page.locator(f'[data-part="{name}"]')


def waiting(page: Page, words: str) -> None:
    expect(part(page, "review-progress")).to_have_text(words)


def objects_of(store: ReviewStore, picture: CapturedPicture) -> tuple[str, tuple[ReviewedObject, ...]]:
    review = store.review(picture.id)
    assert review is not None
    return review.status, review.annotation.objects


def drag(page: Page, start: tuple[float, float], end: tuple[float, float]) -> None:
    """From one pixel of the picture to another."""
    frame = part(page, "review-overlay").bounding_box()
    assert frame is not None
    scale = frame["width"] / SIDE
    (x1, y1), (x2, y2) = ((frame["x"] + x * scale, frame["y"] + y * scale) for x, y in (start, end))
    page.mouse.move(x1, y1)
    page.mouse.down()
    page.mouse.move((x1 + x2) / 2, (y1 + y2) / 2)
    page.mouse.move(x2, y2)
    page.mouse.up()


def test_from_an_unsure_answer_to_a_review(page, desk: Desk) -> None:
    screen = Screen.open(page, desk.serving.url)
    expect(part(page, "capture")).to_have_text("Pictures are kept")
    screen.choose(file(encode(scene({(3, 2): "5"}))))
    expect(part(page, "remark")).to_contain_text("This picture is kept for review.")
    deadline = time.monotonic() + 60
    while not (kept := desk.store.pictures("fingers")):
        assert time.monotonic() < deadline, "the picture never came to MLflow"
        time.sleep(0.1)
    page.locator('[data-to="review"]').click()
    expect(part(page, "review-picture")).to_be_visible()
    expect(part(page, "review-facts")).to_contain_text("unsure (")
    expect(part(page, "review-list").locator("option:checked")).to_have_text("6 · 5")
    expect(part(page, "review-desk")).to_be_focused()
    page.keyboard.press("4")
    expect(part(page, "review-save")).to_have_text("Save correction")
    page.keyboard.press("Enter")
    expect(part(page, "review-says")).to_have_text("All pictures are reviewed.")
    status, (found,) = objects_of(desk.store, kept[0])
    assert (status, found.name) == ("corrected", "3")
    assert found.box == pytest.approx(cell_box(3, 2), abs=1)


def test_twenty_a_minute_by_keys_alone(page, desk: Desk) -> None:
    for number in range(20):
        desk.add(score=0.9 - number / 100)
    desk.open(page)
    began = time.monotonic()
    for number in range(20):
        waiting(page, f"{20 - number} picture{'s' * (number < 19)} to review, {number} done")
        if number % 4 == 1:
            page.keyboard.press("5")
        if number % 4 == 2:
            page.keyboard.press("Shift+ArrowRight")
        page.keyboard.press("x" if number % 4 == 3 else "Enter")
    expect(part(page, "review-says")).to_have_text("All pictures are reviewed.")
    took = time.monotonic() - began
    assert took < 60
    statuses = [review.status for review in desk.store.reviews("fingers").values()]
    assert {status: statuses.count(status) for status in statuses} == {"accepted": 5, "corrected": 10, "not usable": 5}


def test_boxes_are_drawn_moved_pulled_and_removed_by_mouse(page, desk: Desk) -> None:
    picture = desk.add()
    desk.open(page)
    drag(page, (80, 80), (100, 90))
    drag(page, (140, 130), (180, 150))
    drag(page, (200, 180), (300, 280))
    page.keyboard.press("6")
    expect(page.locator(".review-box")).to_have_count(2)
    part(page, "review-save").click()
    expect(part(page, "review-says")).to_have_text("All pictures are reviewed.")
    status, (first, second) = objects_of(desk.store, picture)
    assert status == "corrected"
    assert (first.name, second.name) == ("3", "5")
    assert first.box == pytest.approx((60, 50, 180, 150), abs=2)
    assert second.box == pytest.approx((200, 180, 300, 280), abs=2)


def test_every_step_can_be_undone(page, desk: Desk) -> None:
    picture = desk.add()
    desk.open(page)
    drag(page, (200, 180), (300, 280))
    page.keyboard.press("Delete")
    page.keyboard.press(".")
    page.keyboard.press("7")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Control+z")
    page.keyboard.press("u")
    page.keyboard.press("u")
    part(page, "review-undo").click()
    expect(part(page, "review-undo")).to_be_disabled()
    expect(part(page, "review-save")).to_have_text("Accept")
    part(page, "review-save").click()
    expect(part(page, "review-says")).to_have_text("All pictures are reviewed.")
    assert objects_of(desk.store, picture) == ("accepted", (ReviewedObject("3", (40, 40, 120, 120)),))


def test_all_of_it_works_without_a_pointer(page, desk: Desk) -> None:
    picture = desk.add()
    desk.open(page)
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("Alt+ArrowDown")
    page.keyboard.press("n")
    page.keyboard.press("1")
    page.keyboard.press("Enter")
    expect(part(page, "review-says")).to_have_text("All pictures are reviewed.")
    status, (first, second) = objects_of(desk.store, picture)
    assert (status, first.name, second.name) == ("corrected", "3", "0")
    assert first.box == pytest.approx((36.8, 41, 116.8, 121), abs=0.05)
    assert second.box == pytest.approx((112, 112, 208, 208), abs=0.05)


def test_the_select_and_the_buttons_do_the_same(page, desk: Desk) -> None:
    picture = desk.add()
    desk.open(page)
    page.get_by_label("Class of box 1").focus()
    page.get_by_label("Class of box 1").select_option("2")
    expect(page.get_by_label("Class of box 1")).to_be_focused()
    page.get_by_role("button", name="Add a box").click()
    page.get_by_role("button", name="Remove box").click()
    page.get_by_role("button", name="Save correction").click()
    expect(part(page, "review-says")).to_have_text("All pictures are reviewed.")
    assert objects_of(desk.store, picture) == ("corrected", (ReviewedObject("2", (40, 40, 120, 120)),))


def test_a_finger_draws_a_box(browser: Browser, desk: Desk) -> None:
    picture = desk.add(objects=())
    context = browser.new_context(has_touch=True, viewport={"width": 390, "height": 844})
    page = context.new_page()
    desk.open(page)
    frame = part(page, "review-overlay").bounding_box()
    assert frame is not None
    scale = frame["width"] / SIDE
    touch = context.new_cdp_session(page)

    def point(kind: str, *at: float) -> None:
        points = [{"x": frame["x"] + at[0] * scale, "y": frame["y"] + at[1] * scale}] if at else []
        touch.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})

    point("touchStart", 100, 100)
    for step in range(1, 6):
        point("touchMove", 100 + 20 * step, 100 + 10 * step)
    point("touchEnd")
    expect(page.locator(".review-box")).to_have_count(1)
    part(page, "review-save").click()
    expect(part(page, "review-says")).to_have_text("All pictures are reviewed.")
    _, (found,) = objects_of(desk.store, picture)
    assert found.box == pytest.approx((100, 100, 200, 150), abs=2)
    context.close()


def test_a_leaf_gets_its_class_by_a_key(page, desk: Desk) -> None:
    leaf = desk.add("leaves")
    desk.open(page)
    expect(page.locator('.review-class[aria-pressed="true"]')).to_contain_text("rust")
    page.keyboard.press("1")
    page.keyboard.press("Enter")
    expect(part(page, "review-says")).to_have_text("All pictures are reviewed.")
    review = desk.store.review(leaf.id)
    assert review is not None
    assert (review.status, review.annotation.name) == ("corrected", "healthy")


def test_two_people_do_not_overwrite_each_other(page, console, desk: Desk) -> None:
    console.expect("status of 409", "status of 404")
    picture, gone, last = (desk.add(score=score) for score in (0.9, 0.8, 0.7))
    desk.open(page)
    desk.store.write(theirs := draw_review(picture, by="ben"))
    page.keyboard.press("Enter")
    expect(part(page, "review-says")).to_contain_text("Somebody else has reviewed that picture meanwhile")
    assert desk.store.review(picture.id) == theirs
    desk.store.delete(gone.id)
    page.keyboard.press("2")
    page.keyboard.press("Enter")
    expect(part(page, "review-says")).to_contain_text("That picture was deleted meanwhile")
    page.keyboard.press("Enter")
    expect(part(page, "review-says")).to_have_text("All pictures are reviewed.")
    assert desk.store.reviewed("fingers") == {picture.id, last.id}


def test_the_last_picture_can_be_taken_back(page, desk: Desk) -> None:
    picture = desk.add()
    desk.open(page)
    page.keyboard.press("x")
    expect(part(page, "review-says")).to_have_text("All pictures are reviewed.")
    page.get_by_role("button", name="Back").click()
    expect(part(page, "review-facts")).to_contain_text("not usable")
    page.keyboard.press("5")
    page.keyboard.press("Enter")
    expect(part(page, "review-says")).to_have_text("All pictures are reviewed.")
    review = desk.store.review(picture.id)
    assert review is not None
    assert (review.revision, review.status, review.annotation.objects[0].name) == (2, "corrected", "4")


def test_a_picture_or_all_are_deleted_after_a_question(page, desk: Desk) -> None:
    first, *others = (desk.add(score=score) for score in (0.9, 0.8, 0.7))
    desk.store.write(draw_review(others[1]))
    desk.open(page)
    part(page, "review-delete").click()
    page.get_by_role("button", name="Cancel").click()
    assert len(desk.store.pictures("fingers")) == 3
    part(page, "review-delete").click()
    page.get_by_role("button", name="Delete it").click()
    waiting(page, "1 picture to review, 1 done")
    assert {each.id for each in desk.store.pictures("fingers")} == {each.id for each in others}
    assert not [name for name in desk.serving.mlflow._files if first.id in name and "/deleted/" not in name]


def test_an_unfinished_correction_stays_while_another_view_is_shown(page, desk: Desk) -> None:
    desk.add()
    desk.open(page)
    page.keyboard.press("5")
    page.locator('[data-to="models"]').click()
    page.locator('[data-to="review"]').click()
    expect(part(page, "review-save")).to_have_text("Save correction")
    expect(part(page, "review-list").locator("option:checked")).to_have_text("5 · 4")


def test_a_name_is_a_text_whatever_it_is(page, desk: Desk) -> None:
    name = "<img src=x onerror=alert(1)>"
    desk.add(objects=(ScoredObject(name, 0.4, (40.0, 40.0, 120.0, 120.0)),), source="<b>door</b>")
    desk.open(page)
    expect(part(page, "review-list").locator("option:checked")).to_have_text(re.compile(re.escape(name)))
    expect(part(page, "review-facts")).to_contain_text("<b>door</b>")


@pytest.mark.parametrize("model", ["fingers", "leaves"])
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 360])
def test_axe_finds_nothing_and_nothing_sticks_out(page, desk: Desk, model: str, scheme: Any, width: int) -> None:
    desk.add(model)
    page.emulate_media(color_scheme=scheme)
    page.set_viewport_size({"width": width, "height": 844})
    page.goto(f"{desk.serving.url}/?language={'fr' if scheme == 'dark' else 'en'}#review")
    expect(part(page, "review-picture")).to_be_visible()
    page.locator(".review-keys summary").click()
    found = Axe().run(page).response["violations"]
    assert [f"{one['id']}: {[node['html'] for node in one['nodes']]}" for one in found] == []
    assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_without_pictures_it_says_what_keeps_them(page, desk: Desk) -> None:
    desk.open(page, ready=False)
    expect(part(page, "review-says")).to_have_text("No picture has been kept.")
    expect(part(page, "review-notice")).to_contain_text("those the model is unsure of")


def test_the_picture_of_the_documentation(
    page, desk: Desk, request: pytest.FixtureRequest, repository: Path, tmp_path: Path
) -> None:
    """Taken anew into docs/img with the option --pictures, whatever its address."""
    pixels, boxes = draw_scene(_SEED, 3, size=640)
    seen = [ScoredObject(label, 0.58, (float(x1), float(y1), float(x2), float(y2))) for label, x1, y1, x2, y2 in boxes]
    unsure = replace(seen[0], name="4", confidence=0.46)
    desk.add(objects=(unsure, *seen[1:]), jpeg=encode(pixels, ".jpg"), width=640, height=640)
    page.set_viewport_size({"width": 1440, "height": 900})
    desk.open(page)
    page.locator(".review-keys summary").click()
    folder = repository / "docs" / "img" if request.config.getoption("pictures", None) else tmp_path
    shot = cv2.imdecode(np.frombuffer(page.screenshot(), np.uint8), cv2.IMREAD_COLOR)
    assert shot is not None
    assert shot.shape == (900, 1440, 3)
    cv2.imwrite(str(folder / "review.webp"), shot, [cv2.IMWRITE_WEBP_QUALITY, 84])
    assert (folder / "review.webp").stat().st_size < 150_000


@pytest.fixture
def locked(tmp_path: Path, dashboard: Path) -> Iterator[Desk]:
    """A server that asks for keys."""
    scopes: tuple[Scope, ...] = ("predict", "review")
    KeyFile(tmp_path / "home" / "keys.json").write([ApiKey(one, digest_of(one), frozenset({one})) for one in scopes])
    serving = LiveServing(tmp_path / "home", dashboard, {"auth": "on"})
    store = review_store(serving.mlflow)
    serving.mlflow.register(build_package(tmp_path / "1"), aliases=["champion"])
    with LiveMonitor(reviews=store) as monitor:
        serving.settings["monitor"] = monitor.url
        with serving:
            serving.wait_until_ready()
            yield Desk(serving, store)


def test_a_key_that_may_review_is_asked_for_and_named(page, console, locked: Desk) -> None:
    console.expect("status of 401", "status of 403")
    picture = locked.add()
    page.add_init_script("sessionStorage.getItem('handful.key') ?? sessionStorage.setItem('handful.key', 'predict')")
    page.goto(f"{locked.serving.url}/#review")
    page.get_by_label("Key", exact=True).fill("review")
    page.get_by_role("button", name="Use this key").click()
    expect(part(page, "review-picture")).to_be_visible()
    page.keyboard.press("Enter")
    expect(part(page, "review-says")).to_have_text("All pictures are reviewed.")
    expect(part(page, "review-notice")).to_contain_text("The server keeps no pictures now.")
    expect(part(page, "capture")).to_be_hidden()
    review = locked.store.review(picture.id)
    assert review is not None
    assert review.by == "review"


def test_where_no_monitor_runs_it_says_how_to_start_one(page, console, tmp_path: Path, dashboard: Path) -> None:
    console.expect("status of 404", "status of 503")
    with LiveServing(tmp_path / uuid.uuid4().hex, dashboard, {"monitor": "http://127.0.0.1:9"}) as serving:
        page.goto(f"{serving.url}/#review")
        expect(page.locator('[data-notice="absent"]')).to_contain_text("docker compose --profile monitoring")
