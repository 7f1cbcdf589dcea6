from __future__ import annotations

import math

import pytest

FRAME = {"width": 480, "height": 360}


@pytest.mark.parametrize(
    ("image", "space", "most", "expected"),
    [
        ((640, 480), (320, 1000), 9, (320, 240)),
        ((640, 480), (1000, 240), 9, (320, 240)),
        ((100, 50), (1000, 1000), 3, (300, 150)),
        ((4000, 3000), (333, 333), 9, (333, 249)),
        ((5000, 1), (100, 100), 9, (100, 1)),
    ],
    ids=["by-width", "by-height", "not-larger-than", "whole-pixels", "never-nothing"],
)
def test_a_picture_fits_its_space(run, image, space, most, expected) -> None:
    sizes = [dict(zip(("width", "height"), pair, strict=True)) for pair in (image, space)]
    assert run("geometry", "fit", *sizes, most, 1) == {"width": expected[0], "height": expected[1]}


def test_a_picture_is_shown_in_whole_device_pixels(run) -> None:
    found = run("geometry", "fit", {"width": 640, "height": 481}, {"width": 715, "height": 900}, 9, 1.5)
    assert [side * 1.5 for side in found.values()] == pytest.approx([1072, 806])


def test_a_box_of_the_picture_lies_on_the_frame_in_proportion(run) -> None:
    found = run(
        "geometry", "toFrame", [100, 50, 300, 150], {"width": 1000, "height": 500}, {"width": 500, "height": 250}
    )
    assert found == {"x": 50, "y": 25, "width": 100, "height": 50}


@pytest.mark.parametrize("ratio", [1, 1.25, 1.5, 2, 2.625, 3])
@pytest.mark.parametrize(
    "box", [(10.3, 20.7, 99.9, 55.5), (0, 0, 480, 360), (-5, 100.49, 20, 30), (400, 300, 200, 200)]
)
def test_an_outline_covers_whole_device_pixels_and_stays_inside(run, ratio, box) -> None:
    rect = dict(zip(("x", "y", "width", "height"), box, strict=True))
    found = run("geometry", "snap", rect, FRAME, ratio, 2)
    half = found["stroke"] / 2
    edges = {
        "left": found["x"] - half,
        "top": found["y"] - half,
        "right": found["x"] + found["width"] + half,
        "bottom": found["y"] + found["height"] + half,
    }
    for edge in edges.values():
        assert edge * ratio == pytest.approx(round(edge * ratio), abs=1e-6)
    assert found["stroke"] * ratio == pytest.approx(math.floor(2 * ratio + 0.5))
    assert edges["left"] >= 0
    assert edges["top"] >= 0
    assert edges["right"] <= FRAME["width"]
    assert edges["bottom"] <= FRAME["height"]


def test_an_outline_is_at_most_a_pixel_off(run) -> None:
    found = run("geometry", "snap", {"x": 10.4, "y": 20.6, "width": 100.3, "height": 50.2}, FRAME, 1, 2)
    assert abs(found["x"] - 10.4) <= 1
    assert abs(found["y"] - 20.6) <= 1
    assert abs(found["x"] + found["width"] - 110.7) <= 1
    assert abs(found["y"] + found["height"] - 70.8) <= 1


def test_the_largest_is_painted_first(run) -> None:
    rects = [{"x": 0, "y": 0, "width": side, "height": side} for side in (20, 50, 10)]
    assert run("geometry", "paintOrder", rects) == [1, 0, 2]
