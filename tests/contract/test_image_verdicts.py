"""Serving and `handful data prepare` give one verdict on an image: the same answer, size and pixels.

Exact everywhere but in a JPEG that is turned: it is coded anew, by its own tables.
"""

from __future__ import annotations

import io
import struct
import tempfile
import warnings
import zlib
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageCms

from handful_core.vision import formats
from handful_core.vision.decode import ImageError, Pixels, UnsupportedImageError, decode_image, read_header
from handful_trainer.dataset.inspection.facts import ImageFacts, WriteMode
from handful_trainer.dataset.inspection.inspect import inspect_bytes
from handful_trainer.dataset.preparation.link import FileLinker

MODES = ("1", "L", "LA", "P", "PA", "RGB", "RGBA", "RGBX", "CMYK", "YCbCr", "LAB", "HSV", "I", "I;16", "F")
WRITTEN: dict[str, list[dict[str, Any]]] = {
    "JPEG": [{}, {"progressive": True}, {"subsampling": 0, "quality": 95}],
    "PNG": [{}],
    "WEBP": [{}, {"lossless": True}],
    "BMP": [{}],
    "GIF": [{}],
    "TIFF": [
        *({"compression": name} for name in (None, "tiff_lzw", "tiff_adobe_deflate", "packbits", "jpeg", "zstd")),
        {"big_tiff": True},
        {"tiffinfo": {278: 5}},
    ],
    "AVIF": [{}],
    "HEIF": [{}],
    "JPEG2000": [{}],
    "PPM": [{}],
    "TGA": [{}],
    "DDS": [{}],
    "ICO": [{}],
    "PCX": [{}],
}
READ = {"JPEG", "PNG", "WEBP", "BMP", "GIF", "TIFF", "AVIF", "HEIF"}
REFUSED = {("TIFF", "I"), ("TIFF", "F")}
"""Samples of 32 bits. Pillow writes no other format with them as they are."""
TURNABLE = ("JPEG", "PNG", "WEBP", "TIFF", "AVIF", "HEIF")


@pytest.fixture(scope="module", autouse=True)
def _heif_can_be_written() -> None:
    if formats.has_heif():
        import pillow_heif

        pillow_heif.register_heif_opener()


def photo(seed: int = 0, width: int = 64, height: int = 48) -> Image.Image:
    chance = np.random.default_rng(seed).integers(0, 256, (4, 5, 3), np.uint8)
    return Image.fromarray(cv2.resize(chance, (width, height), interpolation=cv2.INTER_LINEAR))


def of_mode(image: Image.Image, mode: str) -> Image.Image:
    if mode == "LAB":
        srgb, lab = ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB")
        return ImageCms.profileToProfile(image, srgb, lab, outputMode="LAB")  # type: ignore[return-value]
    if mode in {"RGBA", "LA"}:
        image.putalpha(Image.linear_gradient("L").resize(image.size))
    if mode in {"I", "I;16", "F"}:
        grey = np.asarray(image.convert("L"))
        return Image.fromarray(grey.astype({"I": np.int32, "I;16": np.uint16, "F": np.float32}[mode]) * 257)
    return image.convert("P").convert("PA") if mode == "PA" else image.convert(mode)


def file_of(image: Image.Image, form: str, orientation: int = 1, **options: Any) -> bytes | None:
    """The file; None if Pillow cannot write such an image."""
    if form == "HEIF" and not formats.has_heif():
        return None
    if orientation != 1:
        exif = Image.Exif()
        exif[0x0112] = orientation
        options["exif"] = exif.tobytes()
    out = io.BytesIO()
    try:
        image.save(out, form, **options)
    except (OSError, ValueError, KeyError, RuntimeError):
        return None
    return out.getvalue()


def serve(data: bytes) -> Pixels | None:
    try:
        return decode_image(data)
    except ImageError:
        return None


def prepare(data: bytes) -> tuple[ImageFacts, Pixels | None]:
    """What `prepare` says, and the pixels of the file that it writes, as serving reads them."""
    facts = inspect_bytes(data)
    if facts.defect:
        return facts, None
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder, "source"), Path(folder, "target")
        source.write_bytes(data)
        FileLinker().place(str(source), str(target), facts.write_mode)
        return facts, decode_image(target.read_bytes())


def check(data: bytes) -> Pixels | None:
    """Hold both verdicts to be one; the pixels that serving sees."""
    served, (facts, prepared) = serve(data), prepare(data)
    if served is None or prepared is None:
        assert served is None and prepared is None, facts  # noqa: PT018 - one verdict
        return None
    assert prepared.shape == served.shape
    assert (facts.height, facts.width) == served.shape[:2]
    header = read_header(data)
    assert (header.height, header.width) == served.shape[:2]
    difference = np.abs(prepared.astype(int) - served)
    if facts.format == "JPEG" and facts.write_mode is WriteMode.UPRIGHT:
        assert difference.mean() < 3
    else:
        assert difference.max() == 0
    return served


CASES = [(form, options) for form, several in WRITTEN.items() for options in several]


@pytest.mark.parametrize(("form", "options"), CASES, ids=[f"{form}{list(o.values()) or ''}" for form, o in CASES])
@pytest.mark.parametrize("orientation", [1, 3, 6, 7])
def test_every_kind_that_can_be_written_gets_one_verdict(form: str, options: dict[str, Any], orientation: int) -> None:
    if orientation != 1 and form not in TURNABLE:
        orientation = 1
    seen = 0
    for mode in MODES:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Pillow warns of what it converts.
            data = file_of(of_mode(photo(), mode), form, orientation, **options)
        if data is not None:
            seen += 1
            assert (check(data) is not None) == (form in READ and (form, mode) not in REFUSED), mode
    if form == "HEIF" and not formats.has_heif():
        pytest.skip("pillow-heif is not installed")
    assert seen


COLOURS = {
    "JPEG": ("1", "L", "RGB", "CMYK", "YCbCr"),
    "PNG": ("1", "L", "LA", "P", "RGB", "RGBA", "I;16"),
    "BMP": ("1", "L", "P", "RGB", "RGBA"),
    "GIF": ("1", "L", "LA", "P", "RGB", "RGBA"),
    "TIFF": ("1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "YCbCr", "LAB", "I;16"),
}
"""What Pillow writes without changing it."""


@pytest.mark.parametrize(("form", "mode"), [(form, mode) for form, modes in COLOURS.items() for mode in modes])
def test_colours_are_those_of_the_picture(form: str, mode: str) -> None:
    """OpenCV alone darkened TIFFs by their alpha, and took L*a*b* for something else."""
    image = of_mode(photo(), mode)
    data = file_of(image, form)
    assert data is not None
    truth = photo() if mode not in {"P", "1"} else image.convert("RGB")
    if mode in {"L", "LA", "I;16"}:
        truth = truth.convert("L").convert("RGB")
    served = check(data)
    assert served is not None
    off = np.abs(served[..., ::-1].astype(int) - np.asarray(truth))
    assert off.mean() < {"JPEG": 4, "GIF": 10}.get(form, 2)  # GIF has 256 colours.


@pytest.mark.parametrize("extension", [".png", ".tiff"])
@pytest.mark.parametrize("channels", [1, 3, 4])
def test_sixteen_bits_are_cut_to_their_high_byte(extension: str, channels: int) -> None:
    deep = np.random.default_rng(1).integers(0, 65536, (40, 50, channels), dtype=np.uint16)
    data = cv2.imencode(extension, deep)[1].tobytes()
    served = check(data)
    expected = (deep[..., :3] >> 8).astype(np.uint8)
    assert served is not None
    assert np.array_equal(served, np.broadcast_to(expected, (40, 50, 3)))


def grey_tiff(bits: int, row: bytes, kind: int = 1, photometric: int = 1) -> bytes:
    """A TIFF of 20 rows and columns of grey, each row the same."""
    data = row * 20
    fields = [
        (256, 20),
        (257, 20),
        (258, bits),
        (259, 1),
        (262, photometric),
        (273, 0),
        (277, 1),
        (278, 20),
        (279, len(data)),
        (339, kind),
    ]
    begin = 8 + 2 + 12 * len(fields) + 4
    fields = [(tag, begin if tag == 273 else value) for tag, value in fields]
    body = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in fields)
    return b"II*\0\x08\0\0\0" + struct.pack("<H", len(fields)) + body + bytes(4) + data


@pytest.mark.parametrize(
    ("bits", "row", "grey"),
    [
        (1, b"\xaa\xaa\xa0", [255, 0]),
        (2, b"\x66" * 5, [85, 170]),
        (4, b"\x3c" * 10, [51, 204]),
        (8, b"\x10\xf0" * 10, [16, 240]),
        (12, b"\x12\x3f\xed" * 10, [0x12, 0xFE]),
        (16, b"\xff\x12\xff\xfe" * 10, [0x12, 0xFE]),
    ],
)
def test_grey_of_any_depth_is_as_light_as_it_was_meant(bits: int, row: bytes, grey: list[int]) -> None:
    """Pillow hands out 12 bits as if they were 16: all black."""
    served = check(grey_tiff(bits, row))
    assert served is not None
    assert served[7, :, 1].tolist() == grey * 10
    inverted = check(grey_tiff(bits, row, photometric=0)) if bits in {1, 8} else None
    assert inverted is None or inverted[7, :, 1].tolist() == [255 - value for value in grey] * 10


@pytest.mark.parametrize("kind", [2, 3])
@pytest.mark.parametrize("bits", [8, 16])
def test_signed_and_floating_samples_are_refused(kind: int, bits: int) -> None:
    data = grey_tiff(bits, bytes(20 * bits // 8), kind)
    with pytest.raises(ImageError):
        decode_image(data)
    assert inspect_bytes(data).defect in {"unsupported", "garbled"}


@pytest.mark.parametrize("kind", [np.float32, np.float64, np.int16, np.int32])
def test_samples_whose_range_nobody_states_are_refused(kind: type) -> None:
    data = cv2.imencode(".tiff", np.full((40, 50), 0.5).astype(kind))[1].tobytes()
    with pytest.raises(UnsupportedImageError, match="TIFF with samples"):
        decode_image(data)
    assert inspect_bytes(data).defect == "unsupported"


def exif_block(order: str, kind: int, count: int, value: int) -> bytes:
    o = "<" if order == "II" else ">"
    size = {1: "B3x", 7: "B3x", 3: "H2x", 8: "H2x", 4: "I", 9: "I"}[kind]
    field = struct.pack(f"{o}HHI{size}", 0x0112, kind, count, value)
    return b"Exif\0\0" + order.encode() + struct.pack(f"{o}HIH", 42, 8, 1) + field + bytes(4)


@settings(deadline=None, max_examples=200)
@given(
    form=st.sampled_from(["JPEG", "PNG", "WEBP"]),
    order=st.sampled_from(["II", "MM"]),
    kind=st.sampled_from([1, 3, 4, 7, 8, 9]),
    count=st.integers(0, 2),
    value=st.integers(0, 9),
)
def test_an_odd_orientation_turns_for_both_or_for_none(
    form: str, order: str, kind: int, count: int, value: int
) -> None:
    """OpenCV, which Ultralytics reads with, goes by the first two bytes, whatever type and count a field states."""
    data = file_of(photo(), form, exif=exif_block(order, kind, count, value))
    assert data is not None
    assert check(data) is not None


@pytest.mark.parametrize("form", TURNABLE)
@pytest.mark.parametrize("with_exif", [True, False])
def test_what_only_xmp_turns_gets_one_verdict(form: str, with_exif: bool) -> None:
    xmp = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
    xmp += b'<rdf:Description xmlns:tiff="http://ns.adobe.com/tiff/1.0/" tiff:Orientation="6"/></rdf:RDF></x:xmpmeta>'
    exif = Image.Exif()
    exif[0x010E] = "a description"
    options: dict[str, Any] = {"tiffinfo": {700: xmp}} if form == "TIFF" else {"xmp": xmp}
    data = file_of(photo(), form, **options, **({"exif": exif} if with_exif and form != "TIFF" else {}))
    if data is None:
        pytest.skip("pillow-heif is not installed")
    served = check(data)
    assert served is not None
    # Whoever writes a HEIC with pillow-heif has it turned by its boxes.
    assert served.shape == ((64, 48, 3) if form == "HEIF" else (48, 64, 3))


@pytest.mark.parametrize("form", ["PNG", "WEBP", "GIF", "TIFF", "AVIF", "HEIF"])
def test_of_several_pictures_both_take_the_first(form: str) -> None:
    data = file_of(photo(), form, save_all=True, append_images=[Image.new("RGB", (64, 48), "blue")])
    if data is None:
        pytest.skip("pillow-heif is not installed")
    served = check(data)
    assert served is not None
    assert np.abs(served[..., ::-1].astype(int) - np.asarray(photo())).mean() < 10


@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP", "BMP", "GIF", "TIFF", "AVIF", "HEIF"])
@settings(deadline=None, max_examples=60)
@given(data=st.data())
def test_damage_is_damage_for_both(form: str, data: st.DataObject) -> None:
    whole = file_of(photo(), form)
    if whole is None:
        pytest.skip("pillow-heif is not installed")
    content = bytearray(whole[: data.draw(st.integers(1, len(whole)))] if data.draw(st.booleans()) else whole)
    for _ in range(data.draw(st.integers(0, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    facts = inspect_bytes(bytes(content))
    # A training image has at least ten pixels each way; serving takes smaller ones.
    assert (serve(bytes(content)) is None) == (facts.defect not in {"", "too_small"}), facts


def chunk(kind: bytes, data: bytes = b"") -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(*chunks: bytes) -> bytes:
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks) + chunk(b"IEND")


def head(colour: int = 2, compression: int = 0) -> bytes:
    return chunk(b"IHDR", struct.pack(">IIBBBBB", 20, 16, 8, colour, compression, 0, 0))


def rows(count: int, width: int) -> bytes:
    return zlib.compress((b"\0" + bytes(range(width))) * count)


@pytest.mark.parametrize(
    "data",
    [
        png(head(), chunk(b"IDAT", rows(10, 60))),
        png(head(), chunk(b"IDAT", rows(16, 60)[:-4])),
        png(head(), head(), chunk(b"IDAT", rows(16, 60))),
        png(head(), chunk(b"ABCD", b"x"), chunk(b"IDAT", rows(16, 60))),
        png(head(3), chunk(b"IDAT", rows(16, 20))),
        png(head(3), chunk(b"PLTE", b"abcd"), chunk(b"IDAT", rows(16, 20))),
        png(head(3), chunk(b"IDAT", rows(16, 20)), chunk(b"PLTE", bytes(60))),
        png(head(compression=1), chunk(b"IDAT", rows(16, 60))),
    ],
    ids=["rows missing", "no checksum", "two heads", "unknown", "no palette", "odd palette", "late palette", "method"],
)
def test_a_png_that_pillow_takes_and_opencv_does_not_is_damaged_for_both(data: bytes) -> None:
    """Whole chunks with right checksums, and no whole image: Pillow fills it up, and is not asked."""
    assert check(png(head(), chunk(b"IDAT", rows(16, 60)))) is not None
    assert check(data) is None


def test_a_png_that_opencv_takes_and_pillow_does_not_is_written_anew() -> None:
    """Ultralytics asks Pillow, and would leave it out without a word."""
    data = bytearray(png(head(), chunk(b"IDAT", rows(16, 60)), chunk(b"tEXt", b"a\0text")))
    data[data.index(b"text") + 5] ^= 1  # The checksum of a chunk that says nothing about the pixels.
    assert inspect_bytes(bytes(data)).write_mode is WriteMode.PNG
    assert check(bytes(data)) is not None
