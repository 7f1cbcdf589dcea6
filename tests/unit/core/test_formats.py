"""Every format is read or named, and a few bytes never cost hundreds of megabytes."""

from __future__ import annotations

import io
import struct
from contextlib import suppress
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageFile

from handful_core.vision import formats
from handful_core.vision.avif_header import avif_header
from handful_core.vision.decode import (
    ImageError,
    ImageTooLargeError,
    UnsupportedImageError,
    decode_image,
    read_header,
)
from handful_trainer.dataset.inspection.inspect import inspect_bytes

NAMED = [
    ("JPEG 2000", b"\0\0\0\x0cjP  \r\n\x87\n"),
    ("JPEG 2000", b"\xff\x4f\xff\x51\x00\x29"),
    ("JPEG XL", b"\0\0\0\x0cJXL \r\n\x87\n"),
    ("JPEG XL", b"\xff\x0a\xfa\x1f"),
    ("SVG", b"<?xml version='1.0'?>\n<svg xmlns='http://www.w3.org/2000/svg'/>"),
    ("SVG", b"<svg viewBox='0 0 9 9'/>"),
    ("Photoshop", b"8BPS\0\1"),
    ("camera raw", b"II*\0\x10\0\0\0CR\x02\0"),
    ("camera raw", b"\0\0\0\x18ftypcrx \0\0\0\1crx isom"),
    ("camera raw", b"FUJIFILMCCD-RAW 0201"),
    ("camera raw", b"IIU\0\x18\0\0\0"),
    ("video", b"\0\0\0\x18ftypmp42\0\0\0\0mp42isom"),
    ("video", b"RIFF\x10\0\0\0AVI LIST"),
    ("video", b"\x1a\x45\xdf\xa3\x01\0\0\0"),
    ("video", b"\0\0\0\x08wide\0\0\0\0mdat"),
    ("video", b"FLV\1\5\0\0\0\x09"),
    ("gzip", b"\x1f\x8b\x08\0"),
    ("PNM", b"P6\n4 4\n255\n" + bytes(48)),
    ("OpenEXR", b"\x76\x2f\x31\x01\2\0\0\0"),
    ("DICOM", bytes(128) + b"DICM"),
    ("PDF", b"%PDF-1.7"),
    ("ZIP", b"PK\x03\x04"),
]


@pytest.mark.parametrize(("name", "data"), NAMED, ids=[f"{name} {n}" for n, (name, _) in enumerate(NAMED)])
def test_what_is_not_read_is_named_by_serving_and_by_prepare(name: str, data: bytes) -> None:
    data += bytes(99)
    with pytest.raises(UnsupportedImageError, match=f"the file is {name}, not an image that is read here: send one of"):
        decode_image(data)
    facts = inspect_bytes(data)
    assert (facts.defect, facts.detail.partition(":")[0]) == ("unsupported", name)
    assert "convert it to one of JPEG, PNG" in facts.detail


@pytest.mark.parametrize("page", [b"<!DOCTYPE html><html><svg/></html>", b"<html>\n<svg>"])
def test_a_page_with_a_drawing_in_it_is_a_page(page: bytes) -> None:
    assert formats.identify(page) is None
    assert inspect_bytes(page).defect == "html"


@pytest.mark.parametrize("brand", [b"heic", b"heix", b"mif1", b"msf1", b"hevc"])
def test_without_its_library_heic_is_named_with_what_to_install(brand: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(formats, "has_heif", lambda: False)
    data = b"\0\0\0\x18ftyp" + brand + b"\0\0\0\0mif1heic" + bytes(99)
    with pytest.raises(UnsupportedImageError, match=r"the file is HEIC.*pip install pillow-heif, or send one of JPEG"):
        decode_image(data)
    facts = inspect_bytes(data)
    assert (facts.defect, facts.detail) == ("unsupported", "HEIC: pip install pillow-heif")
    assert "HEIC" not in formats.readable()


def test_a_photo_of_both_kinds_of_boxes_is_avif() -> None:
    assert formats.identify(b"\0\0\0\x1cftypmif1\0\0\0\0mif1avifmiaf") is formats.AVIF


def test_suffixes_of_formats_that_are_not_read_are_images_too() -> None:
    names = {".jpg", ".jpe", ".jfif", ".dib", ".avif", ".heic", ".heif", ".jp2", ".j2k", ".jxl", ".psd", ".dng", ".svg"}
    assert names <= formats.IMAGE_SUFFIXES
    assert not {".txt", ".json", ".xml", ".yaml", ".pdf", ".zip", ".npy", ".cache"} & formats.IMAGE_SUFFIXES


def test_each_suffix_belongs_to_one_format() -> None:
    suffixes = [suffix for form in formats.TABLE for suffix in form.suffixes]
    assert len(suffixes) == len(set(suffixes)) == len({suffix.lower() for suffix in suffixes})


def test_what_is_read_is_decoded_once_and_by_the_library_of_the_table(monkeypatch: pytest.MonkeyPatch) -> None:
    """The plain ways stay as fast as they were: no format costs another one a decode, or a look by Pillow."""
    calls: list[str] = []
    by_opencv, load, opened = cv2.imdecode, ImageFile.ImageFile.load, ImageFile.ImageFile.__init__

    def imdecode(*arguments: Any) -> Any:
        calls.append("opencv")
        return by_opencv(*arguments)

    def loaded(image: Any) -> Any:
        calls.append("pillow")
        return load(image)

    def begun(image: Any, *arguments: Any) -> None:
        calls.append("open")
        opened(image, *arguments)

    monkeypatch.setattr(cv2, "imdecode", imdecode)
    monkeypatch.setattr(ImageFile.ImageFile, "load", loaded)
    files = {form: file_of(Image.new("RGB", (40, 30)), form) for form in ("JPEG", "PNG", "WEBP", "BMP", "GIF", "TIFF")}
    monkeypatch.setattr(ImageFile.ImageFile, "__init__", begun)
    for form, data in files.items():
        calls.clear()
        decode_image(data)
        if form == "TIFF":
            assert set(calls) == {"open", "pillow"}
        else:
            assert calls == (["opencv"] if form == "JPEG" else ["open", "opencv"]), form
    calls.clear()
    inspect_bytes(files["JPEG"])
    assert calls == ["opencv"]


def file_of(image: Image.Image, form: str, **options: Any) -> bytes:
    out = io.BytesIO()
    image.save(out, form, **options)
    return out.getvalue()


def must_not_be_decoded(monkeypatch: pytest.MonkeyPatch) -> None:
    def decode(*_: object, **__: object) -> None:
        pytest.fail("the pixels were decoded")

    monkeypatch.setattr(cv2, "imdecode", decode)
    monkeypatch.setattr("PIL.ImageFile.ImageFile.load", decode)
    monkeypatch.setattr("PIL.AvifImagePlugin.AvifImageFile.load", decode)
    if formats.has_heif():
        monkeypatch.setattr("pillow_heif.HeifImageFile.load", decode)


def written(form: str, width: int, height: int) -> bytes:
    if form == "HEIF":
        if not formats.has_heif():
            pytest.skip("pillow-heif is not installed")
        import pillow_heif

        pillow_heif.register_heif_opener()
    return file_of(Image.new("RGB", (width, height), "green"), form, **({"speed": 10} if form == "AVIF" else {}))


def claiming(data: bytes, width: int, height: int) -> bytes:
    """The file with another size in its boxes."""
    place = data.index(b"ispe") + 8
    return data[:place] + struct.pack(">II", width, height) + data[place + 8 :]


@pytest.mark.parametrize("form", ["AVIF", "HEIF", "TIFF", "GIF", "WEBP"])
def test_a_small_file_of_many_pixels_is_refused_before_it_is_decoded(
    form: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = written(form, 2048, 1024)
    must_not_be_decoded(monkeypatch)
    with pytest.raises(ImageTooLargeError, match="2 megapixels, 1 are allowed"):
        decode_image(data, max_pixels=1_000_000)


@pytest.mark.parametrize("form", ["AVIF", "HEIF"])
@pytest.mark.parametrize("sides", [(60_000, 60_000), (2**31, 2**31), (2**32 - 1, 1)])
def test_a_size_that_is_only_claimed_is_refused(form: str, sides: tuple[int, int], monkeypatch: Any) -> None:
    data = claiming(written(form, 64, 64), *sides)
    must_not_be_decoded(monkeypatch)
    with pytest.raises(ImageError):
        read_header(data)


def test_an_avif_with_a_larger_frame_than_it_claims_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its decoder would decode the frame, and make it as small as the boxes say."""
    data = claiming(written("AVIF", 2048, 1024), 64, 32)
    must_not_be_decoded(monkeypatch)
    with pytest.raises(ImageTooLargeError, match="2 megapixels"):
        decode_image(data, max_pixels=1_000_000)


def test_a_heic_with_a_larger_frame_than_it_claims_is_refused() -> None:
    with pytest.raises(ImageError, match="Security limit exceeded"):
        decode_image(claiming(written("HEIF", 2048, 1024), 64, 32))


@pytest.mark.parametrize("form", ["AVIF", "HEIF"])
@pytest.mark.parametrize(("transfer", "name"), [(16, "PQ"), (18, "HLG")])
def test_colours_for_hdr_are_refused(form: str, transfer: int, name: str) -> None:
    """Shown as they are, they are pale: neither library maps them to what a screen can show."""
    data = written(form, 64, 64)
    place = data.index(b"nclx") + 6
    hdr = data[:place] + struct.pack(">H", transfer) + data[place + 2 :]
    with pytest.raises(UnsupportedImageError, match=rf"colours for HDR \({name}\) is not read"):
        decode_image(hdr)
    assert inspect_bytes(hdr).defect == "unsupported"
    assert decode_image(data).shape == (64, 64, 3)


@settings(max_examples=60, deadline=None)
@given(
    width=st.integers(1, 300),
    height=st.integers(1, 300),
    options=st.sampled_from([{}, {"subsampling": "4:4:4"}, {"quality": 100}, {"save_all": True}]),
    mode=st.sampled_from(["RGB", "RGBA"]),
)
def test_the_frame_of_an_avif_is_as_large_as_the_image(width: int, height: int, options: Any, mode: str) -> None:
    image = Image.new(mode, (width, height))
    more = {"append_images": [image.copy()]} if "save_all" in options else {}
    assert avif_header(file_of(image, "AVIF", speed=10, **options, **more)).frame == width * height


@settings(max_examples=300, deadline=None)
@given(data=st.data())
def test_damaged_boxes_are_an_image_error(data: st.DataObject) -> None:
    content = bytearray(AVIF)
    for _ in range(data.draw(st.integers(1, 6))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    with suppress(ValueError):
        assert avif_header(bytes(content)).frame >= 0


AVIF = file_of(Image.new("RGB", (64, 48)), "AVIF")


@pytest.mark.parametrize(
    "boxes",
    [
        struct.pack(">I4s", 8, b"free") * 100_000,
        (struct.pack(">I4s", 0, b"moov") + struct.pack(">I4s", 0, b"trak")) * 2_000,
        struct.pack(">I4sII", 16, b"meta", 0, 0) * 100_000,
    ],
    ids=["many", "deep", "metas"],
)
def test_boxes_without_end_are_refused(boxes: bytes) -> None:
    with pytest.raises(ImageError, match="header cannot be read"):
        read_header(b"\0\0\0\x10ftypavif\0\0\0\0" + boxes)


@pytest.mark.parametrize("tag", [273, 324])
def test_a_tiff_in_a_million_pieces_is_refused(tag: int) -> None:
    """Pillow goes through them one by one: a file of 20 MB kept it busy for eight seconds."""
    count = 1_000_000
    fields = [(256, 1), (257, count), (258, 8), (259, 1), (262, 1), (277, 1), (278, 1)]
    rows = b"".join(struct.pack("<HHII", number, 4, 1, value) for number, value in fields)
    rows += struct.pack("<HHII", tag, 4, count, 200)
    data = b"II*\0\x08\0\0\0" + struct.pack("<H", len(fields) + 1) + rows + bytes(4 * count + 200)
    with pytest.raises(ImageError, match="it is in 1000000 pieces"):
        read_header(data)


@pytest.mark.parametrize("field", [(254, 4, 1, 1), (50706, 1, 4, 0x00000401)], ids=["preview", "DNG"])
def test_the_preview_in_a_cameras_raw_file_is_not_taken_for_the_photo(field: tuple[int, int, int, int]) -> None:
    whole = file_of(Image.new("RGB", (40, 30)), "TIFF")
    assert decode_image(whole).shape == (30, 40, 3)
    (place,) = struct.unpack_from("<I", whole, 4)
    (count,) = struct.unpack_from("<H", whole, place)
    fields = [whole[start : start + 12] for start in range(place + 2, place + 2 + 12 * count, 12)]
    fields = sorted([*fields, struct.pack("<HHII", *field)], key=lambda row: struct.unpack_from("<H", row)[0])
    moved = whole[:4] + struct.pack("<I", len(whole)) + whole[8:]
    raw = moved + struct.pack("<H", len(fields)) + b"".join(fields) + bytes(4)
    with pytest.raises(UnsupportedImageError, match="a camera's raw file is not read"):
        decode_image(raw)
    assert inspect_bytes(raw).defect == "unsupported"


def test_a_large_heic_or_avif_takes_little_more_memory_than_its_pixels() -> None:
    """Converted in strips: the strips' borders must not show."""
    ramp = np.add.outer(np.arange(700), np.arange(2000)).astype(np.uint8)
    picture = Image.fromarray(np.stack([ramp, ramp[::-1], ramp[:, ::-1]], 2))
    data = file_of(picture, "TIFF")
    assert np.array_equal(decode_image(data)[..., ::-1], np.asarray(picture))
