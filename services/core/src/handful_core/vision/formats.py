"""The table of image formats: how a file of each begins, what it is called, and who decodes it.

Serving and `handful data prepare` both go by it, so a format is read by both, or named as unsupported by both. This
module imports no library: which ones are there is found out by looking for them.
"""

from __future__ import annotations

from functools import cache
from importlib.util import find_spec
from typing import Literal, NamedTuple

Reader = Literal["opencv", "pillow", "pillow-heif", "none"]


class ImageFormat(NamedTuple):
    """A kind of image file."""

    name: str
    """What people and Pillow call it."""
    suffixes: tuple[str, ...]
    """How its files are called, in lower case."""
    signatures: tuple[tuple[int, bytes], ...] = ()
    """Offset and bytes; one of them is there. Formats in ISO boxes have none: see `_boxed`."""
    reader: Reader = "none"
    """The library that decodes it; none: it is not read."""

    @property
    def is_read(self) -> bool:
        """Whether it can be read here."""
        return self.reader != "none" and not self.install

    @property
    def install(self) -> str:
        """What would have to be installed to read it; empty if there is nothing."""
        if self.reader == "pillow-heif" and not has_heif():
            return "pip install pillow-heif"
        return "pip install 'pillow>=11.3'" if self is AVIF and not has_avif() else ""


def _at(offset: int, *starts: bytes) -> tuple[tuple[int, bytes], ...]:
    return tuple((offset, start) for start in starts)


JPEG = ImageFormat("JPEG", (".jpg", ".jpeg", ".jpe", ".jfif", ".jif", ".mpo"), _at(0, b"\xff\xd8"), "opencv")
PNG = ImageFormat("PNG", (".png", ".apng"), _at(0, b"\x89PNG\r\n\x1a\n"), "opencv")
WEBP = ImageFormat("WEBP", (".webp",), _at(8, b"WEBP"), "opencv")
BMP = ImageFormat("BMP", (".bmp", ".dib"), _at(0, b"BM"), "opencv")
GIF = ImageFormat("GIF", (".gif",), _at(0, b"GIF87a", b"GIF89a"), "opencv")
# OpenCV multiplies the colours of a TIFF by its alpha, and takes L*a*b* for something else. Pillow does neither.
TIFF = ImageFormat("TIFF", (".tif", ".tiff"), _at(0, b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"), "pillow")
AVIF = ImageFormat("AVIF", (".avif", ".avifs"), (), "pillow")
HEIC = ImageFormat("HEIC", (".heic", ".heif", ".heics", ".heifs", ".hif"), (), "pillow-heif")

_RAW = ImageFormat(
    "camera raw",
    (".dng", ".cr2", ".cr3", ".nef", ".arw", ".orf", ".rw2", ".raf", ".srw", ".pef", ".x3f"),
    (*_at(0, b"IIU\0", b"IIRO", b"IIRS", b"MMOR", b"FUJIFILMCCD-RAW", b"FOVb"), *_at(8, b"CR\x02\0")),
)
_MKV, _WMV, _FLV, _MPEG = b"\x1a\x45\xdf\xa3", b"\x30\x26\xb2\x75", b"FLV\1", b"\0\0\1\xba"
VIDEO = ImageFormat(
    "video", (), (*_at(8, b"AVI "), *_at(4, b"moov", b"mdat", b"wide"), *_at(0, _MKV, _WMV, _FLV, _MPEG))
)
"""MP4 and QuickTime, AVI, Matroska and WebM, WMV, FLV, MPEG: by their boxes or their first bytes."""
VIDEO_SUFFIXES = frozenset({".mp4", ".m4v", ".mov", ".3gp", ".avi", ".mkv", ".webm", ".wmv", ".flv", ".mpg", ".mpeg"})
_OTHERS = (
    ImageFormat(
        "JPEG 2000",
        (".jp2", ".j2k", ".j2c", ".jpf", ".jpx", ".jpc"),
        _at(0, b"\0\0\0\x0cjP", b"\xff\x4f\xff\x51"),
    ),
    ImageFormat("JPEG XL", (".jxl",), _at(0, b"\0\0\0\x0cJXL", b"\xff\x0a")),
    ImageFormat("JPEG XR", (".jxr", ".wdp", ".hdp"), _at(0, b"II\xbc")),
    ImageFormat("SVG", (".svg", ".svgz")),
    ImageFormat("Photoshop", (".psd", ".psb"), _at(0, b"8BPS")),
    ImageFormat("GIMP", (".xcf",), _at(0, b"gimp xcf")),
    ImageFormat("OpenEXR", (".exr",), _at(0, b"\x76\x2f\x31\x01")),
    ImageFormat("Radiance HDR", (".hdr",), _at(0, b"#?RADIANCE", b"#?RGBE")),
    ImageFormat("PNM", (".ppm", ".pgm", ".pbm", ".pnm", ".pfm"), _at(0, *(b"P%c\n" % c for c in b"123456Ff"))),
    ImageFormat("ICO", (".ico", ".cur"), _at(0, b"\0\0\1\0")),
    ImageFormat("TGA", (".tga",)),
    ImageFormat("PCX", (".pcx",), _at(0, b"\x0a\x05\x01")),
    ImageFormat("DDS", (".dds",), _at(0, b"DDS ")),
    ImageFormat("QOI", (".qoi",), _at(0, b"qoif")),
    ImageFormat("DICOM", (".dcm", ".dicom"), _at(128, b"DICM")),
    ImageFormat("SGI", (".sgi", ".rgb"), _at(0, b"\x01\xda\0", b"\x01\xda\1")),
    ImageFormat("Sun raster", (".ras",), _at(0, b"\x59\xa6\x6a\x95")),
    ImageFormat("EPS", (".eps",), _at(0, b"%!PS", b"\xc5\xd0\xd3\xc6")),
    ImageFormat("PDF", (), _at(0, b"%PDF")),
    ImageFormat("ZIP", (), _at(0, b"PK\x03\x04")),
    ImageFormat("gzip", (), _at(0, b"\x1f\x8b")),
    VIDEO,
)
TABLE = (JPEG, PNG, WEBP, BMP, GIF, _RAW, TIFF, AVIF, HEIC, *_OTHERS)
"""All of them. What is tried first comes first: a camera's raw file may begin as a TIFF does."""

IMAGE_SUFFIXES = frozenset(suffix for form in TABLE for suffix in form.suffixes)
"""Files that are images by their name, read or not. What they really hold, their first bytes tell."""

_SVG = next(form for form in _OTHERS if form.name == "SVG")
_AVIF_BRANDS = frozenset({b"avif", b"avis"})
_HEIC_BRANDS = frozenset({b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs", b"mif1", b"msf1"})
_MAX_BRANDS = 512
"""Bytes of the box that names a file's brands. Real ones have a few dozen."""
_MARKUP = (b"<!doctype", b"<html", b"<head", b"<body", b"<?xml", b"<error", b"<svg")


def identify(data: bytes) -> ImageFormat | None:
    """The format of a file, from its first bytes; None if it begins like no image."""
    for form in TABLE:
        for offset, start in form.signatures:
            if data.startswith(start, offset):
                return form
    return _boxed(data) or (_SVG if _is_svg(data) else None)


def _boxed(data: bytes) -> ImageFormat | None:
    """The format of a file in boxes as ISO/IEC 14496-12 has them, from its brands."""
    if data[4:8] != b"ftyp":
        return None
    size = min(int.from_bytes(data[:4]), _MAX_BRANDS)
    brands = {data[8:12], *(data[place : place + 4] for place in range(16, size, 4))}
    if data[8:12] == b"crx ":
        return _RAW
    # A photo that is AVIF, too, names `mif1` beside it.
    return AVIF if brands & _AVIF_BRANDS else HEIC if brands & _HEIC_BRANDS else VIDEO


def _is_svg(data: bytes) -> bool:
    head = data[:1024].lower()
    return is_markup(data) and b"<svg" in head and b"<html" not in head


def is_markup(data: bytes) -> bool:
    """Is it a page or an error answer of a web server or object store, or a drawing in XML?"""
    return data[:512].lstrip(b"\xef\xbb\xbf \t\r\n").lower().startswith(_MARKUP)


def readable() -> str:
    """The names of the formats that can be read here, for people."""
    return ", ".join(form.name for form in TABLE if form.is_read)


@cache
def has_heif() -> bool:
    """Whether pillow-heif is installed: the extra `heif` brings it."""
    return find_spec("pillow_heif") is not None


@cache
def has_avif() -> bool:
    """Whether Pillow can read AVIF: its wheels can since 11.3."""
    return find_spec("PIL._avif") is not None
