"""Bodies that come compressed: gzip and deflate, unpacked a piece at a time."""

from __future__ import annotations

import zlib
from collections.abc import Iterator

from handful_serving.errors import BadRequestError, UnsupportedEncodingError

ACCEPTED = "gzip, deflate"
_PIECE_BYTES = 262_144
"""Unpacked at once. A few megabytes may hold gigabytes, so whoever reads counts each piece before the next one."""
_MAX_MEMBERS = 1024
"""Of a gzip file. Each costs a new decompressor, and a body could consist of a million empty ones."""
_GZIP, _ZLIB, _RAW = 16 + zlib.MAX_WBITS, zlib.MAX_WBITS, -zlib.MAX_WBITS


def unpacker(header: str) -> Unpacker | None:
    """What unpacks a body.

    Args:
        header: the request's Content-Encoding.

    Returns:
        None if the body comes as it is.

    Raises:
        UnsupportedEncodingError: it is packed in another way, or more than once.
    """
    codings = [word for coding in header.split(",") if (word := coding.strip().lower()) not in {"", "identity"}]
    if not codings:
        return None
    if codings not in (["gzip"], ["x-gzip"], ["deflate"]):
        raise UnsupportedEncodingError(
            f"the body's Content-Encoding is {header[:60]}", f"send it with one of {ACCEPTED}, or as it is"
        )
    return Unpacker(codings[0])


class Unpacker:
    """Unpacks one body.

    Args:
        coding: `gzip`, `x-gzip` or `deflate`.
    """

    def __init__(self, coding: str) -> None:
        self._coding = coding
        self._head = b""
        self._members = 0
        self._inflate: zlib._Decompress | None = None

    def unpack(self, data: bytes) -> Iterator[bytes]:
        """What the next bytes of the body hold.

        Raises:
            BadRequestError: they are damaged, or not packed in this way.
        """
        try:
            while data:
                if self._inflate is None:
                    data = self._begin(data)
                    continue
                piece = self._inflate.decompress(data, _PIECE_BYTES)
                data = self._inflate.unconsumed_tail
                if self._inflate.eof:
                    data, self._inflate = self._inflate.unused_data, None
                if piece:
                    yield piece
        except zlib.error as error:
            raise self._damaged(str(error)) from error

    def finish(self) -> None:
        """The body has ended.

        Raises:
            BadRequestError: the packed data has not.
        """
        if self._inflate is not None or self._head or not self._members:
            raise self._damaged("it breaks off")

    def _begin(self, data: bytes) -> bytes:
        """Begin a member once its first two bytes are there; what is left to unpack."""
        head = self._head + data
        if self._members:
            head = head.lstrip(b"\0")  # gzip files may be padded.
        if len(head) < 2:
            self._head = head
            return b""
        if self._members and (self._coding == "deflate" or self._members >= _MAX_MEMBERS):
            raise self._damaged("there is more behind its end")
        self._head, self._members = b"", self._members + 1
        self._inflate = zlib.decompressobj(_RAW if self._coding == "deflate" and not _is_zlib(head) else self._bits)
        return head

    @property
    def _bits(self) -> int:
        return _ZLIB if self._coding == "deflate" else _GZIP

    def _damaged(self, reason: str) -> BadRequestError:
        return BadRequestError(
            f"the body is not whole {self._coding} data, as its Content-Encoding says ({reason})",
            "compress it anew, or send it as it is",
        )


def _is_zlib(head: bytes) -> bool:
    """Whether deflate has zlib's header, as RFC 9110 wants it. Some clients leave it out."""
    return head[0] & 0x0F == 8 and int.from_bytes(head[:2]) % 31 == 0
