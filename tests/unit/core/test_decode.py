from __future__ import annotations

import io
import struct
import threading
import warnings
from contextlib import suppress
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from fakes.packages import encode
from handful_core.vision.decode import (
    ImageError,
    ImageTooLargeError,
    UnsupportedImageError,
    decode_image,
    decode_reduced,
    read_header,
)
from handful_core.vision.pillow_images import orientation_of

FORMATS = ["JPEG", "PNG", "WEBP", "BMP", "TIFF", "GIF"]
WITH_EXIF = ["JPEG", "PNG", "WEBP", "TIFF"]


def corner_picture(mode: str = "RGB") -> Image.Image:
    """48 by 32, red in the upper left corner, black elsewhere."""
    image = Image.new("RGB", (48, 32))
    image.paste((255, 0, 0), (0, 0, 16, 16))
    return image.convert(mode)


def file_of(image: Image.Image, form: str, orientation: int = 1, **options: object) -> bytes:
    exif = Image.Exif()
    exif[0x0112] = orientation
    if orientation != 1:
        options["exif"] = exif
    if form == "WEBP":
        options["lossless"] = True
    out = io.BytesIO()
    image.save(out, form, **options)
    return out.getvalue()


def is_red(pixels: np.ndarray, x: int, y: int) -> bool:
    blue, green, red = pixels[y, x].tolist()
    return red > 200 and blue < 60 and green < 60


@pytest.mark.parametrize("form", FORMATS)
def test_every_format_is_read(form: str) -> None:
    data = file_of(corner_picture(), form)
    header, pixels = read_header(data), decode_image(data)
    assert (header.format, header.width, header.height) == (form, 48, 32)
    assert pixels.shape == (32, 48, 3)
    assert pixels.dtype == np.uint8
    assert is_red(pixels, 4, 4)
    assert not is_red(pixels, 40, 28)


RED_CORNER = {  # Where the red corner of the stored picture is when it is held upright.
    2: "top right", 3: "bottom right", 4: "bottom left", 5: "top left", 6: "top right", 7: "bottom right",
    8: "bottom left",
}  # fmt: skip


@pytest.mark.parametrize("form", WITH_EXIF)
@pytest.mark.parametrize("orientation", range(2, 9))
def test_exif_orientation_is_applied(form: str, orientation: int) -> None:
    data = file_of(corner_picture(), form, orientation)
    header, pixels = read_header(data), decode_image(data)
    assert pixels.shape[:2] == ((48, 32) if orientation >= 5 else (32, 48))
    assert (header.height, header.width) == pixels.shape[:2]
    height, width = pixels.shape[:2]
    vertical, horizontal = RED_CORNER[orientation].split()
    assert is_red(pixels, 4 if horizontal == "left" else width - 5, 4 if vertical == "top" else height - 5)


@pytest.mark.parametrize(
    ("mode", "form"),
    [("L", "JPEG"), ("CMYK", "JPEG"), ("1", "PNG"), ("L", "PNG"), ("LA", "PNG"), ("P", "PNG"), ("RGBA", "PNG"),
     ("I;16", "PNG"), ("RGBA", "WEBP"), ("L", "TIFF"), ("CMYK", "TIFF"), ("P", "BMP")],
)  # fmt: skip
def test_odd_modes_become_three_channels_of_eight_bits(mode: str, form: str) -> None:
    image = corner_picture("L").convert("I").convert("I;16") if mode == "I;16" else corner_picture(mode)
    pixels = decode_image(file_of(image, form))
    assert pixels.shape == (32, 48, 3)
    assert pixels.dtype == np.uint8


def test_of_an_animation_the_first_frame_is_read() -> None:
    out = io.BytesIO()
    first, second = Image.new("RGB", (20, 10), "red"), Image.new("RGB", (20, 10), "blue")
    first.save(out, "GIF", save_all=True, append_images=[second])
    assert is_red(decode_image(out.getvalue()), 5, 5)


def test_what_is_no_image_is_unsupported() -> None:
    with pytest.raises(UnsupportedImageError, match="the file is empty"):
        decode_image(b"")
    for data in (b"<html>not found</html>", b"\x00" * 100, b"%PDF-1.7", b"GIF"):
        with pytest.raises(UnsupportedImageError, match="not an image"):
            decode_image(data)


@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP", "TIFF", "GIF"])
@pytest.mark.parametrize("share", [0.3, 0.6, 0.95])
def test_a_file_that_breaks_off_is_damaged(form: str, share: float) -> None:
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 256, (96, 128, 3), np.uint8))
    data = file_of(noise, form)
    with pytest.raises(ImageError):
        decode_image(data[: int(len(data) * share)])


def test_too_many_pixels_are_refused_before_they_are_decoded(monkeypatch: pytest.MonkeyPatch) -> None:
    data = file_of(Image.new("L", (3000, 2000)), "PNG")

    def decode(*_: object) -> None:
        pytest.fail("the pixels were decoded")

    monkeypatch.setattr(Image.Image, "load", decode)
    monkeypatch.setattr("PIL.ImageFile.ImageFile.load", decode)
    monkeypatch.setattr(cv2, "imdecode", decode)
    with pytest.raises(ImageTooLargeError, match="6 megapixels, 5 are allowed"):
        decode_image(data, max_pixels=5_000_000)


def test_a_bomb_is_refused() -> None:
    """A header that claims more than Pillow itself allows."""
    data = bytearray(file_of(Image.new("L", (8, 8)), "BMP"))
    data[18:26] = (60_000).to_bytes(4, "little") * 2
    with pytest.raises(ImageTooLargeError):
        decode_image(bytes(data))


@pytest.mark.parametrize("marker", [0x00, 0x01, 0x02, 0xBF, 0xD0, 0xD8, 0xD9, 0xF0])
def test_a_frame_that_hides_behind_an_odd_marker_is_not_decoded(marker: int) -> None:
    """A walk by lengths would step over the large frame to the small one; some decoders read on, and find it."""
    data = encode(np.zeros((64, 64, 3), np.uint8), ".jpg")
    frame_at, scan_at = data.index(b"\xff\xc0"), data.index(b"\xff\xda")
    frame, scan = data[frame_at : frame_at + 19], data[scan_at : scan_at + 14]
    large = frame[:5] + b"\x20\x00\x20\x00" + frame[9:]
    tables = data[2:frame_at] + data[frame_at + 19 : scan_at]
    hidden = bytes([0xFF, marker]) + (2 + len(large + scan)).to_bytes(2, "big") + large + scan
    with pytest.raises(ImageError):
        decode_image(data[:2] + tables + hidden + frame + data[scan_at:], max_pixels=100_000)


def test_reading_a_header_decodes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    data = file_of(corner_picture(), "PNG")
    monkeypatch.setattr("PIL.ImageFile.ImageFile.load", lambda *_: pytest.fail("the pixels were decoded"))
    assert read_header(data).width == 48


def test_a_damaged_exif_block_is_ignored() -> None:
    data = bytearray(file_of(corner_picture(), "JPEG", 6))
    at = data.index(b"Exif\x00\x00") + 6
    data[at : at + 8] = b"\xff" * 8
    header, pixels = read_header(bytes(data)), decode_image(bytes(data))
    assert (header.orientation, header.width, header.height) == (1, 48, 32)
    assert pixels.shape == (32, 48, 3)


def test_threads_leave_the_warning_filters_as_they_were() -> None:
    data = file_of(corner_picture(), "JPEG")
    before = list(warnings.filters)
    threads = [threading.Thread(target=lambda: [read_header(data) for _ in range(200)]) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert warnings.filters == before


SIGNATURES = [b"", b"\xff\xd8\xff\xe0", b"\x89PNG\r\n\x1a\n", b"GIF89a", b"BM", b"II*\x00", b"RIFF\x00\x01\x00\x00WEBP"]


@settings(max_examples=300, deadline=None)
@given(start=st.sampled_from(SIGNATURES), data=st.binary(max_size=300))
def test_any_bytes_are_an_image_or_an_image_error(start: bytes, data: bytes) -> None:
    with suppress(ImageError):
        assert decode_image(start + data).ndim == 3


@settings(max_examples=100, deadline=None)
@given(
    form=st.sampled_from(FORMATS),
    changes=st.lists(st.tuples(st.integers(0, 10_000), st.integers(0, 255)), min_size=1, max_size=12),
)
def test_a_spoilt_image_is_an_image_or_an_image_error(form: str, changes: list[tuple[int, int]]) -> None:
    data = bytearray(file_of(corner_picture(), form))
    for place, value in changes:
        data[place % len(data)] = value
    try:
        pixels = decode_image(bytes(data), max_pixels=1_000_000)
    except ImageError:
        return
    assert pixels.ndim == 3
    assert pixels.dtype == np.uint8


def test_the_real_images_that_are_broken_are_refused(shared_data: Path) -> None:
    import json

    folder = shared_data / "fingers-315"
    expected = json.loads((folder / "expected.json").read_text())
    refused = 0
    for path in (folder / "assets").iterdir():
        try:
            decode_image(path.read_bytes())
        except ImageError:
            refused += 1
    assert refused == expected["undecodable"]


def with_scans(scans: int, side: int = 64) -> bytes:
    """A progressive JPEG whose last scan is there so many times more."""
    data = file_of(Image.new("L", (side, side)), "JPEG", progressive=True)
    last = data.rindex(b"\xff\xda")
    return data[:-2] + data[last:-2] * scans + data[-2:]


def test_a_jpeg_that_goes_over_its_pixels_without_end_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    assert decode_image(with_scans(20)).shape == (64, 64, 3)
    with pytest.raises(ImageError, match="goes over its pixels more than 64 times"):
        decode_image(with_scans(2000))
    monkeypatch.setattr("handful_core.vision.decode._SCANNED_PIXELS", 20 * 64 * 64)  # As for 40 megapixels.
    with pytest.raises(ImageError, match="goes over its pixels more than 20 times"):
        decode_image(with_scans(20))


def test_a_jpeg_of_ten_thousand_segments_behind_its_pixels_is_refused() -> None:
    data = file_of(corner_picture(), "JPEG")
    with pytest.raises(ImageError, match="goes over its pixels"):
        decode_image(data[:-2] + b"\xff\x01" * 100_000 + data[-2:])


def test_what_looks_like_a_scan_within_a_segment_is_none() -> None:
    data = file_of(corner_picture(), "JPEG", comment=b"\xff\xda" * 500)
    assert is_red(decode_image(data), 4, 4)


@pytest.mark.parametrize("filler", [b"\xff", b"\x00", b"\xff\xfe\x00\x02", b"\xff\x01"])
@pytest.mark.parametrize("whole", [True, False])
def test_a_header_without_end_is_refused(filler: bytes, whole: bool) -> None:
    data = file_of(corner_picture(), "JPEG")
    long = data[:2] + filler * (4_000_000 // len(filler)) + data[2 : None if whole else -2]
    with pytest.raises(ImageError, match="header has no end"):
        read_header(long)


def test_a_few_bytes_of_padding_are_no_matter() -> None:
    data = file_of(corner_picture(), "JPEG")
    assert read_header(data[:2] + b"\xff" * 100 + data[2:]).width == 48


def test_a_png_of_a_million_blocks_is_refused() -> None:
    data = file_of(corner_picture(), "PNG")
    block = struct.pack(">I4sI", 0, b"quIt", 0xE4CA1F24)
    with pytest.raises(ImageError):
        read_header(data[:33] + block * 1_000_000 + data[33:])


def tiff(*fields: tuple[int, int, int, int], order: str = "<") -> bytes:
    """The beginning of a TIFF file: tag, type, count and value of its fields."""
    head = (b"II" if order == "<" else b"MM") + struct.pack(f"{order}HI", 42, 8)
    rows = b"".join(struct.pack(f"{order}HHII", *field) for field in fields)
    return head + struct.pack(f"{order}H", len(fields)) + rows + bytes(4)


@pytest.mark.parametrize("order", ["<", ">"])
def test_a_small_tiff_with_a_huge_tile_is_refused(order: str) -> None:
    size = ((256, 4, 1, 64), (257, 4, 1, 64))
    with pytest.raises(ImageTooLargeError, match="256 megapixels"):
        read_header(tiff(*size, (322, 4, 1, 16_000), (323, 4, 1, 16_000), order=order))


def test_a_tiff_whose_fields_lie_over_each_other_is_refused() -> None:
    data = tiff(*((1000 + tag, 1, 900_000, 8) for tag in range(1000))) + bytes(1_000_000)
    with pytest.raises(ImageError, match="its fields are longer than the file"):
        read_header(data)


@pytest.mark.parametrize(
    "data",
    [
        b"II*\0",
        tiff()[:-4],
        b"II+\0" + bytes(20),
        b"II+\0" + b"\xff" * 20,
        tiff((256, 4, 1, 64))[:-8],
        tiff((322, 16, 1, 8)),
    ],
)
def test_a_tiff_that_breaks_off_is_told(data: bytes) -> None:
    with pytest.raises(ImageError, match="header cannot be read"):
        read_header(data)


def test_a_picture_that_only_xmp_turns_keeps_its_shape() -> None:
    picture = Image.new("RGB", (1600, 1200))
    xmp = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
    xmp += b'<rdf:Description xmlns:tiff="http://ns.adobe.com/tiff/1.0/" tiff:Orientation="6"/></rdf:RDF></x:xmpmeta>'
    found = decode_reduced(file_of(picture, "JPEG", xmp=xmp), enough=320)
    assert found.pixels.shape == (300, 400, 3)
    assert found.scale == (4, 4)


@pytest.mark.parametrize("form", FORMATS)
def test_the_orientation_is_that_of_exif_in_every_format(form: str) -> None:
    turnable = form in {"JPEG", "PNG", "WEBP", "TIFF"}
    with Image.open(io.BytesIO(file_of(corner_picture(), form, 6 if turnable else 1))) as image:
        assert orientation_of(image) == (6 if turnable else 1)
    with Image.open(io.BytesIO(file_of(corner_picture(), form))) as image:
        assert orientation_of(image) == 1


@pytest.mark.parametrize(
    ("size", "enough", "least", "decoded"),
    [
        ((800, 640), 100, (1, 1), (100, 80)),
        ((800, 640), 100, (100, 100), (200, 160)),
        ((4096, 256), 300, (1, 1), (512, 32)),
        ((4096, 256), 300, (224, 224), (4096, 256)),
        ((4096, 512), 300, (224, 224), (2048, 256)),
        ((256, 512), 64, (128, 100), (128, 256)),
        ((100, 80), 50, (200, 200), (100, 80)),
    ],
)
def test_no_side_is_reduced_below_what_is_needed(
    size: tuple[int, int], enough: int, least: tuple[int, int], decoded: tuple[int, int]
) -> None:
    done, data = cv2.imencode(".jpg", np.zeros((size[1], size[0], 3), np.uint8))
    assert done
    image = decode_reduced(data.tobytes(), enough=enough, least=least)
    assert (image.pixels.shape[1], image.pixels.shape[0]) == decoded
    assert (image.width, image.height) == size
