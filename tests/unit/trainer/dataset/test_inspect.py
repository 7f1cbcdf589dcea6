from __future__ import annotations

import io
import os
import warnings
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, JpegImagePlugin

from fakes.exports import encoded, picture, senseless, turned
from handful_core.vision import formats
from handful_trainer.dataset.inspection.facts import WriteMode
from handful_trainer.dataset.inspection.inspect import inspect_bytes, inspect_images

STARTS = [bytes(offset) + start for form in formats.TABLE for offset, start in form.signatures]
PHOTO = encoded(picture(1), quality=90)


@pytest.mark.parametrize(
    ("content", "defect"),
    [
        (b"", "empty"),
        (b"<!DOCTYPE html><html></html>", "html"),
        (b"\xef\xbb\xbf\n  <HTML>", "html"),
        (b"<?xml version='1.0'?><Error><Code>NoSuchKey</Code></Error>", "html"),
        (b"\x17\x23" * 400, "noise"),
        (b'{"detail": "not found"}', "noise"),
        (b"\xff\xd8" + b"\x55" * 300 + b"\xff\xd9", "garbled"),
        (b"\xff\xd8" + b"\x55" * 300, "truncated"),
        (PHOTO[:-2], "truncated"),
        (PHOTO[: len(PHOTO) // 2], "truncated"),
        (PHOTO[:40], "truncated"),
        (encoded(picture(1), "PNG")[:-12], "truncated"),
        (encoded(picture(1), "WEBP")[:-9], "truncated"),
        (encoded(picture(1), "BMP")[:-9], "truncated"),
        (b"\x00\x00\x00\x0cjP  " + bytes(99), "unsupported"),
        (b"<?xml version='1.0'?><svg></svg>", "unsupported"),
        (encoded(picture(1, 9, 40)), "too_small"),
        (encoded(Image.new("1", (10_000, 6_000)), "PNG"), "too_large"),
    ],
)
def test_files_that_cannot_be_used_are_told_apart(content: bytes, defect: str) -> None:
    found = inspect_bytes(content)
    assert found.defect == defect
    assert found.detail
    assert found.size == len(content)


def test_what_is_not_there_is_missing(tmp_path) -> None:
    found = inspect_images([None, tmp_path / "gone.jpg", tmp_path])
    assert [facts.defect for facts in found] == ["missing", "missing", "unreadable"]


@pytest.mark.parametrize(
    ("form", "options", "treatment"),
    [
        ("JPEG", {}, WriteMode.LINK),
        ("JPEG", {"progressive": True}, WriteMode.LINK),
        ("PNG", {}, WriteMode.LINK),
        ("WEBP", {}, WriteMode.LINK),
        ("BMP", {}, WriteMode.LINK),
        ("GIF", {}, WriteMode.PNG),
        ("TIFF", {}, WriteMode.PNG),
        ("PNG", {"save_all": True, "append_images": [picture(2)]}, WriteMode.PNG),
    ],
)
def test_whole_images_are_usable(form: str, options: dict[str, object], treatment: WriteMode) -> None:
    found = inspect_bytes(encoded(picture(1), form, **options))
    assert (found.defect, found.format, found.width, found.height) == ("", form, 64, 48)
    assert found.write_mode is treatment


@pytest.mark.parametrize("orientation", [3, 6, 8])
def test_size_is_that_of_the_upright_image(orientation: int) -> None:
    found = inspect_bytes(turned(1, orientation))
    assert (found.width, found.height, found.orientation) == (64, 48, orientation)
    assert found.write_mode is WriteMode.UPRIGHT


def test_a_jpeg_with_something_behind_its_end_is_ended_anew() -> None:
    assert inspect_bytes(PHOTO + b"trailer").write_mode is WriteMode.SEAL


def _fully_decodes(content: bytes) -> bool:
    try:
        # Not Image.open: Ultralytics replaces it, for the whole process, by one that fails otherwise.
        with JpegImagePlugin.JpegImageFile(io.BytesIO(content)) as image:
            image.load()
    except (OSError, SyntaxError):
        return False
    return True


@pytest.mark.parametrize("progressive", [False, True])
def test_the_quick_decode_finds_every_cut_that_the_full_one_finds(progressive: bool) -> None:
    content = encoded(picture(1), quality=90, progressive=progressive)
    cuts = range(2, len(content) + 1, 7)
    assert [not inspect_bytes(content[:n]).defect for n in cuts] == [_fully_decodes(content[:n]) for n in cuts]


@settings(deadline=None)
@given(
    st.integers(0, 9),
    st.sampled_from([{}, {"progressive": True}, {"optimize": True, "restart_marker_blocks": 3}, {"exif": b"Exif\0\0"}]),
    st.data(),
)
def test_the_structure_tells_of_every_cut_that_the_pixels_tell_of(
    seed: int, options: dict[str, Any], data: st.DataObject
) -> None:
    content = encoded(picture(seed), **options)
    kept = content[: data.draw(st.integers(0, len(content)))]
    decoded, structure = inspect_bytes(kept), inspect_bytes(kept, decode=False)
    assert structure == decoded._replace(phash=structure.phash, decoded=structure.decoded)
    assert (structure.decoded, structure.phash == -1) == (bool(decoded.defect), True)


def test_what_makes_no_sense_though_its_structure_does_is_found_by_decoding_alone() -> None:
    assert inspect_bytes(senseless(1)).defect == "garbled"
    assert inspect_bytes(senseless(1), decode=False).defect == ""


@pytest.mark.parametrize("content", [turned(1, 6), encoded(picture(1), "PNG"), PHOTO + b"trailer", PHOTO[:-9], b""])
def test_what_is_not_plain_is_decoded_all_the_same(content: bytes) -> None:
    assert inspect_bytes(content, decode=False) == inspect_bytes(content)


@settings(deadline=None)
@given(
    st.sampled_from([*STARTS, b"RIFF\x10\0\0\0WEBP", b"\0\0\0\x18ftypavif", b"\0\0\0\x18ftypheic", b""]),
    st.data(),
)
def test_no_content_crashes_it(start: bytes, data: st.DataObject) -> None:
    content = start + data.draw(st.binary(max_size=300))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = inspect_bytes(content)
    assert found.defect or min(found.width, found.height) >= 10


@settings(deadline=None)
@given(st.sampled_from(["JPEG", "PNG", "WEBP", "BMP", "GIF", "TIFF"]), st.data())
def test_no_damage_crashes_it(form: str, data: st.DataObject) -> None:
    content = bytearray(encoded(picture(1), form))
    for _ in range(data.draw(st.integers(1, 6))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = inspect_bytes(bytes(content))
    assert found.defect or min(found.width, found.height) > 0


@pytest.mark.timeout(30)
def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "x.jpg")
    (found,) = inspect_images([tmp_path / "x.jpg"])
    assert (found.defect, found.detail) == ("unreadable", "it is no file")
