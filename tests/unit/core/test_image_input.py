from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image

from handful_core.errors import DataError
from handful_core.vision.decode import decode_image
from handful_core.vision.image_input import to_file, to_pixels

BGR = np.arange(4 * 6 * 3, dtype=np.uint8).reshape(4, 6, 3)
RGB = np.ascontiguousarray(BGR[..., ::-1])
PNG = bytes(cv2.imencode(".png", BGR)[1])
WITH_ALPHA = np.dstack([RGB, np.full((4, 6), 7, np.uint8)])


@pytest.mark.parametrize(
    "image", [PNG, bytearray(PNG), memoryview(PNG), RGB, WITH_ALPHA, Image.fromarray(RGB), Image.fromarray(WITH_ALPHA)]
)
def test_every_form_gives_the_same_pixels(image: Any) -> None:
    np.testing.assert_array_equal(to_pixels(image), BGR)
    np.testing.assert_array_equal(decode_image(to_file(image)[1]), BGR)


def test_a_path_is_read_and_named(tmp_path: Path) -> None:
    path = tmp_path / "photo.png"
    path.write_bytes(PNG)
    np.testing.assert_array_equal(to_pixels(path), BGR)
    np.testing.assert_array_equal(to_pixels(str(path)), BGR)
    assert to_file(path) == (str(path), PNG)
    path.write_bytes(b"no image")
    with pytest.raises(DataError, match=r"photo\.png: the file is not an image"):
        to_pixels(path)


def test_opencv_s_colours_are_named() -> None:
    np.testing.assert_array_equal(to_pixels(BGR, "bgr"), BGR)
    np.testing.assert_array_equal(to_pixels(np.dstack([BGR, BGR[..., :1]]), "bgr"), BGR)


@given(arrays(np.uint8, st.tuples(st.integers(1, 9), st.integers(1, 9))))
def test_grey_has_three_equal_colours(grey: Any) -> None:
    for image in (grey, grey[..., None], Image.fromarray(grey)):
        np.testing.assert_array_equal(to_pixels(image), np.dstack([grey] * 3))


@given(arrays(np.uint8, st.tuples(st.integers(1, 9), st.integers(1, 9), st.just(3))))
def test_what_is_sent_has_lost_nothing(image: Any) -> None:
    np.testing.assert_array_equal(decode_image(to_file(image)[1]), to_pixels(image))


def test_views_of_arrays_are_read(subtests: pytest.Subtests) -> None:
    for name, view in {"mirrored": RGB[:, ::-1], "every other": RGB[::2, ::2]}.items():
        with subtests.test(name):
            np.testing.assert_array_equal(to_pixels(view), view[..., ::-1])


def test_a_pil_image_is_turned_upright(tmp_path: Path) -> None:
    photo = Image.fromarray(np.repeat(np.repeat(RGB, 16, 0), 16, 1))
    exif = Image.Exif()
    exif[0x0112] = 6
    path = tmp_path / "photo.jpg"
    photo.save(path, exif=exif, quality=95)
    with Image.open(path) as opened:
        turned = to_pixels(opened)
    assert turned.shape == (96, 64, 3)
    assert np.abs(turned.astype(int) - to_pixels(path)).max() <= 8, "Pillow and OpenCV decode JPEG a little differently"


@pytest.mark.parametrize("mode", ["1", "P", "LA", "CMYK", "YCbCr", "I;16"])
def test_pil_images_of_other_modes_are_read(mode: str) -> None:
    grey = Image.fromarray(np.full((4, 6), 255, np.uint8))
    image = Image.fromarray(np.full((4, 6), 65535, np.uint16)) if mode == "I;16" else grey.convert(mode)
    assert to_pixels(image).min() >= 250


@pytest.mark.parametrize(
    ("image", "words"),
    [
        (RGB / 255, "float64, not uint8: pass uint8"),
        (RGB > 3, "bool, not uint8"),
        (RGB.astype(np.int64), "int64, not uint8"),
        (RGB.transpose(2, 0, 1), r"\(3, 4, 6\) is not one image: move the colours last"),
        (RGB[None], r"\(1, 4, 6, 3\) is not one image: pass \(height, width, 3\)"),
        (RGB[0, 0], r"\(3,\) is not one image"),
        (RGB[..., :2], r"\(4, 6, 2\) is not one image"),
        (RGB[:0], "is empty"),
        (np.broadcast_to(np.uint8(0), (50_001, 1000)), "50 megapixels"),
        (None, "a NoneType is not an image that is read here: pass a path"),
        ([1, 2], "a list is not an image"),
        ("https://example.org/photo.jpg", "is an address, not a file: download it"),
        ("not there.jpg", "not there.jpg cannot be read"),
        ("\0", "is not a path"),
        (b"", "the file is empty"),
        (PNG[:60], "cannot be decoded|header cannot be read"),
        (Image.new("F", (4, 4)), "the PIL image cannot be read"),
        (Image.new("I", (4, 4)), "the PIL image cannot be read"),
        (Image.new("RGB", (0, 4)), "is empty"),
    ],
)
def test_what_is_no_image_is_refused_in_one_line(image: Any, words: str) -> None:
    with pytest.raises(DataError, match=words) as error:
        to_pixels(image)
    assert "\n" not in str(error.value)


def test_an_unknown_order_is_refused() -> None:
    with pytest.raises(DataError, match="channel_order 'gbr' is neither"):
        to_pixels(RGB, "gbr")  # type: ignore[arg-type]
