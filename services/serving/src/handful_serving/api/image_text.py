"""Images that come as text: data URIs and base64."""

from __future__ import annotations

import base64
import binascii
import re
import urllib.parse

from handful_core.vision import formats
from handful_core.vision.decode import ImageError
from handful_serving.concurrency.threads import in_thread

_HEAD_BYTES = 64
"""Enough to tell base64 from other text, and the format of the image in it."""
_SPACE = b" \t\r\n"
_SCHEME = b"data:"
_LETTERS = re.compile(rb"[A-Za-z0-9+/_\-\s]+=*\s*")
_ESCAPES = ((b"%2B", b"+"), (b"%2b", b"+"), (b"%2F", b"/"), (b"%2f", b"/"), (b"%3D", b"="), (b"%3d", b"="))
_MAX_ESCAPES = 100_000
"""Of a data URI without base64. Python makes an object of some 50 bytes for each."""
_URL_SAFE = bytes.maketrans(b"-_", b"+/")


async def as_image(data: bytes) -> bytes:
    """The image file that `data` is, or holds as a data URI or as base64.

    Raises:
        ImageError: the data URI or the base64 is damaged.
    """
    # JPEG and PNG begin with no letter. What is no text at all is left to the decoder.
    if data[:1] >= b"\x80" or not is_text_image(data):
        return data
    return await in_thread(_decoded, data)  # Megabytes of text take a while.


def is_text_image(data: bytes) -> bool:
    """Whether it begins as a data URI, or as the base64 of an image in a known format."""
    head = data[:_HEAD_BYTES].lstrip(_SPACE)
    if head[: len(_SCHEME)].lower() == _SCHEME:
        return True
    if not _LETTERS.fullmatch(head):
        return False
    letters = _plain(head).rstrip(b"=")
    return formats.identify(binascii.a2b_base64(letters[: len(letters) // 4 * 4])) is not None


def _decoded(data: bytes) -> bytes:
    data = data.strip(_SPACE)
    if data[: len(_SCHEME)].lower() != _SCHEME:
        return _of_base64(data)
    kind, comma, content = data.partition(b",")
    if not comma:
        raise ImageError("the data URI has no comma before its content", "send data:image/jpeg;base64,…")
    if kind.rstrip(_SPACE).lower().endswith(b";base64"):
        return _of_base64(content)
    if content.count(b"%") > _MAX_ESCAPES:
        raise ImageError(f"the data URI has more than {_MAX_ESCAPES:,} percent signs", "send it as base64")
    return urllib.parse.unquote_to_bytes(content)


def _of_base64(data: bytes) -> bytes:
    for escape, letter in _ESCAPES if b"%" in data else ():
        data = data.replace(escape, letter)
    letters = _plain(data).rstrip(b"=")
    try:
        return base64.b64decode(letters + b"=" * (-len(letters) % 4), validate=True)
    except binascii.Error as error:
        raise ImageError(f"the image's base64 is damaged ({error})", "encode the whole file anew") from error


def _plain(letters: bytes) -> bytes:
    """Base64 without its line breaks, in the letters of RFC 4648's first alphabet."""
    return letters.translate(_URL_SAFE, _SPACE)
