from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from handful_core.package import Input
from handful_core.vision.preprocess import to_input

SIDES = st.integers(1, 300)
RESIZES = st.sampled_from(["letterbox", "stretch", "crop"])


def grey(width: int, height: int, value: int = 200) -> np.ndarray:
    return np.full((height, width, 3), value, np.uint8)


@settings(deadline=None)
@given(width=SIDES, height=SIDES, resize=RESIZES, wide=st.integers(8, 96), high=st.integers(8, 96))
def test_the_tensor_has_the_shape_that_the_graph_asks_for(
    width: int, height: int, resize: str, wide: int, high: int
) -> None:
    spec = Input(width=wide, height=high, resize=resize)  # type: ignore[arg-type]
    tensor, _ = to_input(grey(width, height), spec)
    assert tensor.shape == (1, 3, high, wide)
    assert tensor.dtype == np.float32
    assert tensor.flags.c_contiguous


@settings(deadline=None)
@given(width=st.integers(8, 300), height=st.integers(8, 300), resize=RESIZES)
def test_a_point_finds_its_way_back(width: int, height: int, resize: str) -> None:
    """A white pixel block is found again where it was, whatever lies between."""
    spec = Input(width=64, height=64, resize=resize)  # type: ignore[arg-type]
    _, transform = to_input(grey(width, height), spec)
    box = np.float32([[0.4 * width, 0.45 * height, 0.6 * width, 0.55 * height]])
    there = box * np.float32([transform.scale_x, transform.scale_y] * 2) + np.float32(
        [transform.left, transform.top] * 2
    )
    assert np.allclose(transform.to_image(there), box, atol=0.01)


def test_boxes_are_cut_to_the_image() -> None:
    _, transform = to_input(grey(100, 50), Input(width=64, height=64))
    boxes = transform.to_image(np.float32([[-500, -500, 500, 500]]))
    assert boxes.tolist() == [[0, 0, 100, 50]]


@pytest.mark.parametrize(
    ("width", "height", "inside"),
    [(100, 50, (slice(16, 48), slice(0, 64))), (50, 100, (slice(0, 64), slice(16, 48)))],
)
def test_a_letterbox_keeps_the_aspect_and_pads_both_sides(width: int, height: int, inside: tuple[slice, slice]) -> None:
    tensor, _ = to_input(grey(width, height), Input(width=64, height=64))
    picture = np.round(tensor[0, 0] * 255)
    expected = np.full((64, 64), 114)
    expected[inside] = 200
    assert (picture == expected).all()


def test_a_crop_shows_the_middle() -> None:
    pixels = np.concatenate([grey(50, 50, 0), grey(50, 50, 255), grey(50, 50, 0)], axis=1)
    tensor, transform = to_input(pixels, Input(width=10, height=10, resize="crop"))
    assert (tensor > 0.99).all()
    assert np.allclose(transform.to_image(np.float32([[0, 0, 10, 10]])), [[50, 0, 100, 50]])


@pytest.mark.parametrize("size", [(3_000_000, 1), (1, 3_000_000)])
@pytest.mark.parametrize("resize", ["letterbox", "stretch", "crop"])
def test_an_extreme_strip_takes_little_memory(size: tuple[int, int], resize: str) -> None:
    """Scaled up as it is, the cropped strip would take gigabytes."""
    import tracemalloc

    pixels = grey(*size)
    tracemalloc.start()
    tensor, transform = to_input(pixels, Input(width=224, height=224, resize=resize))  # type: ignore[arg-type]
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert tensor.shape == (1, 3, 224, 224)
    assert peak < 50e6
    middle = transform.to_image(np.float32([[111, 111, 113, 113]])).mean(axis=0)
    long = 0 if size[0] > size[1] else 1
    assert middle[[long, long + 2]].mean() == pytest.approx(1_500_000, rel=0.01)


def test_colours_come_in_the_order_of_the_manifest() -> None:
    pixels = np.zeros((8, 8, 3), np.uint8)
    pixels[:, :, 0] = 255  # blue
    rgb, _ = to_input(pixels, Input(width=8, height=8, colour="rgb"))
    bgr, _ = to_input(pixels, Input(width=8, height=8, colour="bgr"))
    assert rgb[0, :, 0, 0].tolist() == [0, 0, 1]
    assert bgr[0, :, 0, 0].tolist() == [1, 0, 0]


def test_pixels_are_scaled_then_normalised_by_channel() -> None:
    pixels = np.zeros((8, 8, 3), np.uint8)
    pixels[:] = (10, 20, 30)
    spec = Input(width=8, height=8, scale=0.1, mean=(1.0, 0.5, 0.0), std=(2.0, 1.0, 0.5))
    tensor, _ = to_input(pixels, spec)
    assert np.allclose(tensor[0, :, 0, 0], [(3 - 1) / 2, (2 - 0.5) / 1, (1 - 0) / 0.5])


@pytest.mark.parametrize("colour", ["rgb", "bgr"])
@pytest.mark.parametrize(("width", "height"), [(64, 48), (48, 64), (41, 17), (17, 41), (64, 64), (200, 30), (1, 64)])
def test_the_tensor_is_what_opencv_makes_of_the_letterbox_bit_for_bit(width: int, height: int, colour: str) -> None:
    pixels = np.random.default_rng(width).integers(0, 256, (height, width, 3), np.uint8)
    tensor, transform = to_input(pixels, Input(width=64, height=64, colour=colour))  # type: ignore[arg-type]
    inner = max(1, round(width * transform.scale_x)), max(1, round(height * transform.scale_y))
    resized = cv2.resize(pixels, inner, interpolation=cv2.INTER_LINEAR)
    left, top = int(transform.left), int(transform.top)
    right, bottom = 64 - inner[0] - left, 64 - inner[1] - top
    padded = cv2.copyMakeBorder(resized, top, bottom, left, right, cv2.BORDER_CONSTANT, value=(114, 114, 114))
    assert np.array_equal(tensor, cv2.dnn.blobFromImage(padded, 1 / 255, swapRB=colour == "rgb"))


def test_the_image_is_left_as_it_was() -> None:
    pixels = np.random.default_rng(0).integers(0, 255, (64, 64, 3), np.uint8)
    before = pixels.copy()
    to_input(pixels, Input(width=64, height=64, mean=(0.5, 0.5, 0.5)))
    assert (pixels == before).all()
