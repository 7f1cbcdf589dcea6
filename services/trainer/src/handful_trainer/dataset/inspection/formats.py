"""What a file is by its first bytes, whatever its name says."""

from __future__ import annotations

READ = {
    "JPEG": (b"\xff\xd8",),
    "PNG": (b"\x89PNG\r\n\x1a\n",),
    "BMP": (b"BM",),
    "GIF": (b"GIF87a", b"GIF89a"),
    "TIFF": (b"II*\x00", b"MM\x00*"),
}
"""Formats that are read, with what their files begin with. WebP is told by two places: see `image_format`."""

_OTHERS = (
    ("HEIC", 4, b"ftyphe"),
    ("HEIC", 4, b"ftypmif1"),
    ("AVIF", 4, b"ftypavi"),
    ("JPEG 2000", 0, b"\x00\x00\x00\x0cjP"),
    ("JPEG XL", 0, b"\x00\x00\x00\x0cJXL"),
    ("Photoshop", 0, b"8BPS"),
    ("PDF", 0, b"%PDF"),
    ("ZIP", 0, b"PK\x03\x04"),
)
_MARKUP = (b"<!doctype", b"<html", b"<head", b"<body", b"<?xml", b"<error")


def image_format(data: bytes) -> str | None:
    """The format by Pillow's name, None if it is none of those that are read."""
    for name, starts in READ.items():
        if data.startswith(starts):
            return name
    return "WEBP" if data[:4] == b"RIFF" and data[8:12] == b"WEBP" else None


def other_format(data: bytes) -> str | None:
    """The name of a known format that is not read."""
    if is_markup(data) and b"<svg" in data[:1024].lower():
        return "SVG"
    return next((name for name, at, start in _OTHERS if data[at : at + len(start)] == start), None)


def is_markup(data: bytes) -> bool:
    """Is it a page or an error answer of a web server or object store?"""
    return data[:512].lstrip(b"\xef\xbb\xbf \t\r\n").lower().startswith(_MARKUP)


def lacks_end(form: str, data: bytes) -> bool:
    """Does a file of this format lack the end that it should have? Of BMP and TIFF, which have none, never."""
    if form == "WEBP":
        return int.from_bytes(data[4:8], "little") + 8 > len(data)
    if form == "PNG":
        return b"IEND" not in data
    return not data.endswith({"JPEG": b"\xff\xd9", "GIF": b";"}.get(form, b""))
