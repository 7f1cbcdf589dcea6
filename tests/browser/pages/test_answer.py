"""From a picture to its answer."""

from __future__ import annotations

import json
import re
import subprocess

import cv2
import httpx
import numpy as np
import pytest
from playwright.sync_api import expect

from browser.scene import SIDE, cell_box, scene
from browser.screen import dimensions, file
from browser.stock import LEAVES
from fakes.packages import encode, filled

HANDS = {(1, 2): "5", (5, 4): "2", (6, 6): "unknown"}
DATA = encode(scene(HANDS))


@pytest.mark.parametrize("way", ["choose", "drop", "paste"])
def test_a_picture_gets_its_boxes_and_its_count(screen, way) -> None:
    getattr(screen, way)(file(DATA))
    expect(screen.value).to_have_text("7")
    expect(screen.part("verdict-detail")).to_have_text("3 boxes, 1 not counted")
    expect(screen.boxes).to_have_count(3)
    assert sorted(screen.rows.locator(".name").all_inner_texts()) == ["2", "5", "unknown not counted"]
    expect(screen.part("facts")).to_contain_text(dimensions(SIDE, SIDE))


def test_boxes_lie_where_the_objects_are(screen) -> None:
    screen.drop(file(encode(scene({(1, 2): "5"}))))
    expect(screen.boxes).to_have_count(1)
    assert screen.box_on_picture(0) == pytest.approx([edge / SIDE for edge in cell_box(1, 2)], abs=0.01)


def test_a_photo_that_lies_on_its_side_is_shown_and_boxed_upright(screen) -> None:
    upright = scene({(1, 2): "5"})[:, : SIDE // 2]
    done, jpeg = cv2.imencode(
        ".jpg",
        cv2.rotate(upright, cv2.ROTATE_90_COUNTERCLOCKWISE),
        [cv2.IMWRITE_JPEG_QUALITY, 100, cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444],
    )
    assert done
    # Orientation 6: turn clockwise by 90 degrees to see it upright.
    exif = bytes.fromhex("ffe1002245786966000049492a0008000000010012010300010000000600000000000000")
    screen.drop(file(jpeg.tobytes()[:2] + exif + jpeg.tobytes()[2:], "turned.jpg", "image/jpeg"))
    expect(screen.part("facts")).to_contain_text(dimensions(SIDE // 2, SIDE))
    expect(screen.boxes).to_have_count(1)
    x1, y1, x2, y2 = cell_box(1, 2)
    expected = (x1 / (SIDE / 2), y1 / SIDE, x2 / (SIDE / 2), y2 / SIDE)
    assert screen.box_on_picture(0) == pytest.approx(expected, abs=0.02)


def test_the_next_picture_takes_the_place_of_the_one_before(screen) -> None:
    screen.drop(file(DATA))
    expect(screen.value).to_have_text("7")
    screen.drop(file(encode(scene({(0, 0): "3"})), "next.png"))
    expect(screen.value).to_have_text("3")
    expect(screen.boxes).to_have_count(1)
    expect(screen.part("facts")).to_contain_text("next.png")


def test_several_pictures_are_looked_at_in_turn_and_stay_in_the_visit(screen) -> None:
    note = file(b"shopping", "note.txt", "text/plain")
    screen.drop(note, file(encode(scene({(0, 0): "4"})), "a.png"), file(DATA, "b.png"))
    expect(screen.value).to_have_text("7")
    expect(screen.part("remark")).to_have_text("2 of 2")
    entries = screen.part("history-list").get_by_role("button")
    expect(entries).to_have_text(["7", "4"])
    expect(entries.first).to_have_attribute("aria-current", "true")
    requests: list[str] = []
    screen.page.on("request", lambda request: requests.append(request.url))
    entries.last.click()
    expect(screen.value).to_have_text("4")
    expect(screen.part("facts")).to_contain_text("a.png")
    expect(screen.boxes).to_have_count(1)
    assert [url for url in requests if "predict" in url] == []


def test_a_picture_among_several_that_fails_does_not_stop_the_others(screen, console) -> None:
    console.expect("status of 422")
    screen.drop(file(DATA[:999], "half.png"), file(DATA, "whole.png"))
    expect(screen.value).to_have_text("7")
    expect(screen.part("history-list").get_by_role("button")).to_have_text(["7", "!"])


def test_a_sample_picture_is_looked_at_by_a_click(screen) -> None:
    screen.page.get_by_role("button", name="Sample picture 1").click()
    screen.expect_view_state("answer")
    expect(screen.part("facts")).to_contain_text("hands-1.webp")


@pytest.mark.parametrize("gone", ["server", "picture"])
def test_a_sample_picture_that_does_not_come_says_why(screen, console, gone) -> None:
    console.expect("ERR_FAILED", "status of 404")
    if gone == "server":
        screen.page.route("**/*", lambda route: route.abort())
    else:
        screen.page.route("**/img/samples/*", lambda route: route.fulfill(status=404))
    screen.page.get_by_role("button", name="Sample picture 1").click()
    if gone == "server":
        expect(screen.part("notice-title")).to_have_text("The server does not answer")
    else:
        expect(screen.part("remark")).to_have_text("The server said no. It gave no reason but the status 404.")


def test_the_command_that_is_copied_gives_the_same_answer(screen, serving, tmp_path) -> None:
    screen.page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    screen.drop(file(DATA, "it's a hand.png"))
    expect(screen.value).to_have_text("7")
    screen.set_threshold(0.5)
    screen.part("copy-curl").click()
    expect(screen.part("copy-curl-label")).to_have_text("Copied")
    command = screen.page.evaluate("navigator.clipboard.readText()")
    (tmp_path / "it's a hand.png").write_bytes(DATA)
    done = subprocess.run(["sh", "-c", command], cwd=tmp_path, capture_output=True, text=True, check=True)
    answer = json.loads(done.stdout)
    assert (answer["count"], answer["version"], answer["thresholds"]["confidence"]) == (7, 2, 0.5)


def test_the_downloaded_picture_has_its_boxes(screen) -> None:
    screen.drop(file(DATA, "hands.png"))
    expect(screen.value).to_have_text("7")
    with screen.page.expect_download() as download:
        screen.part("download").click()
    assert download.value.suggested_filename == "hands-boxes.jpg"
    drawn = cv2.imread(str(download.value.path()))
    assert drawn.shape == (SIDE, SIDE, 3)
    plain = scene(HANDS)
    assert np.abs(drawn.astype(int) - plain).max() > 100


def test_two_versions_answer_side_by_side(screen) -> None:
    screen.drop(file(DATA))
    expect(screen.value).to_have_text("7")
    select = screen.part("compare-model")
    option = select.locator("option", has_text="fingers v1")
    select.select_option(option.get_attribute("value"))
    sides = screen.part("compare-sides").locator("figure")
    expect(sides).to_have_count(2)
    expect(sides.locator("figcaption span")).to_have_text([re.compile("fingers v2"), re.compile("fingers v1")])
    expect(sides.first.locator(".box")).to_have_count(3)
    expect(sides.last.locator(".box")).to_have_count(3)
    screen.set_threshold(1)
    expect(sides.locator(".box")).to_have_count(0)


def test_versions_are_compared_on_a_picture_that_the_browser_cannot_show(screen) -> None:
    wide = scene({(1, 1): "5"})[: SIDE // 2]
    screen.drop(file(encode(wide, ".tiff"), "scan.tiff", "image/tiff"))
    expect(screen.value).to_have_text("5")
    option = screen.part("compare-model").locator("option", has_text="fingers v1")
    screen.part("compare-model").select_option(option.get_attribute("value"))
    boxes = screen.part("compare-sides").locator(".box .edge")
    expect(screen.part("compare-sides").locator(".blank")).to_have_count(2)
    expect(boxes).to_have_count(2)
    # Once drawn, the sides rest: their growing is no reason to draw them anew.
    figures = screen.part("compare-sides").locator("figure")
    drawn_once = figures.first.element_handle()
    screen.page.wait_for_timeout(500)
    assert drawn_once.evaluate("(figure) => figure.isConnected")
    x1, y1, x2, y2 = cell_box(1, 1)
    expected = (x1 / SIDE, y1 / (SIDE / 2), x2 / SIDE, y2 / (SIDE / 2))
    for place in range(2):
        frame = screen.part("compare-sides").locator(".live-picture").nth(place).bounding_box()
        box = boxes.nth(place).bounding_box()
        assert frame
        assert box
        assert frame["width"] > 200
        left, top = (box["x"] - frame["x"]) / frame["width"], (box["y"] - frame["y"]) / frame["height"]
        drawn = (left, top, left + box["width"] / frame["width"], top + box["height"] / frame["height"])
        assert drawn == pytest.approx(expected, abs=0.02)


def test_a_picture_without_a_hand_counts_zero(screen) -> None:
    screen.drop(file(encode(scene({}))))
    expect(screen.value).to_have_text("0")
    expect(screen.part("verdict-detail")).to_have_text("Nothing found above 25%")
    expect(screen.rows).to_have_count(0)


def test_box_and_row_are_tied_by_hover_focus_and_click(screen) -> None:
    screen.drop(file(DATA))
    expect(screen.boxes).to_have_count(3)
    row = screen.rows.filter(has_text="unknown")
    row.hover()
    expect(screen.page.locator(".box.active")).to_contain_text("unknown")
    screen.page.locator(".box", has_text="2 9").locator(".edge").hover()
    expect(screen.page.locator(".finding.active .name")).to_have_text("2")
    screen.page.mouse.move(0, 0)
    expect(screen.page.locator(".box.active")).to_have_count(0)
    screen.rows.filter(has_text="5").first.focus()
    expect(screen.page.locator(".box.active")).to_contain_text("5")
    screen.page.keyboard.press("Enter")
    screen.part("slider").focus()
    expect(screen.page.locator(".box.active")).to_contain_text("5")
    expect(screen.page.locator(".finding[aria-pressed=true]")).to_have_count(1)


def test_in_a_crowd_only_the_box_that_is_pointed_at_has_its_label(screen) -> None:
    cells = {(column, row): "2" for column in range(8) for row in range(0, 8, 2)}
    screen.drop(file(encode(scene(cells))))
    expect(screen.boxes).to_have_count(32)
    labels = screen.page.locator(".label")
    expect(labels.locator("visible=true")).to_have_count(0)
    screen.rows.first.hover()
    shown = labels.locator("visible=true")
    expect(shown).to_have_count(1)
    plate, text = shown.locator("rect").bounding_box(), shown.locator("text").bounding_box()
    assert plate
    assert text
    assert plate["x"] < text["x"]
    assert text["x"] + text["width"] < plate["x"] + plate["width"]


def test_a_classifier_answers_with_bars_and_without_boxes(screen) -> None:
    screen.open_picker()
    screen.page.locator(".model", has_text="leaves").locator(".version").click()
    screen.drop(file(encode(filled("rust", LEAVES))))
    expect(screen.value).to_have_text("rust")
    expect(screen.rows).to_have_count(3)
    expect(screen.rows.first).to_contain_text("rust")
    expect(screen.boxes).to_have_count(0)
    expect(screen.part("threshold")).to_be_hidden()


def test_the_time_is_shown_by_stage(screen) -> None:
    screen.drop(file(DATA))
    stages = screen.part("timings-list").locator("dt")
    expect(stages).to_have_text(
        ["Queue", "Decode", "Faces", "Preprocess", "Inference", "Postprocess", "Waiting", "Transfer"]
    )
    for entry in screen.part("timings-list").locator("dd").all_inner_texts():
        assert entry.endswith(" ms")


def test_what_is_copied_is_what_the_server_says_at_the_sliders_threshold(screen, serving) -> None:
    screen.page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    faint = {(5, 4): 0.55}
    data = encode(scene(HANDS, faint))
    screen.drop(file(data))
    expect(screen.rows).to_have_count(3)
    screen.set_threshold(0.9)
    expect(screen.rows).to_have_count(2)
    screen.part("copy").click()
    expect(screen.part("copy-label")).to_have_text("Copied")
    copied = screen.page.evaluate("async () => JSON.parse(await navigator.clipboard.readText())")
    said = httpx.post(f"{serving.url}/api/predict?confidence=0.9", files={"image": data}).json()
    for answer in (copied, said):
        del answer["timings_ms"], answer["request_id"]
    assert copied == said


def test_copying_works_on_a_page_without_https_too(screen) -> None:
    # Browsers have no clipboard object on such a page.
    screen.page.evaluate("Object.defineProperty(navigator, 'clipboard', { value: undefined })")
    screen.drop(file(DATA))
    screen.part("copy").click()
    expect(screen.part("copy-label")).to_have_text("Copied")
    expect(screen.part("copy")).to_be_focused()
    screen.page.context.grant_permissions(["clipboard-read"])
    other = screen.page.context.new_page()
    other.goto(screen.page.url)
    other.bring_to_front()
    assert other.evaluate("async () => JSON.parse(await navigator.clipboard.readText()).count") == 7


def test_the_keyboard_goes_on_from_what_replaces_the_invitation(screen) -> None:
    sample = screen.page.get_by_role("button", name="Sample picture 1")
    sample.focus()
    screen.page.keyboard.press("Enter")
    screen.expect_view_state("answer")
    expect(screen.part("another")).to_be_focused()
