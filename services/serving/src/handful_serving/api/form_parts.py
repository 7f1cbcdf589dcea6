"""The parts of a form: which are files, which are fields, and what is refused."""

from __future__ import annotations

import binascii
from dataclasses import dataclass
from email.message import Message
from typing import TYPE_CHECKING

from python_multipart.multipart import parse_options_header

from handful_core.vision import formats
from handful_serving.api.image_text import is_text_image
from handful_serving.errors import BadRequestError, EmptyBodyError, UnsupportedEncodingError

if TYPE_CHECKING:
    from python_multipart.multipart import MultipartCallbacks

MAX_FIELDS = 32
MAX_HEADER_BYTES = 8192
"""Of all headers of a part."""
_MAX_FIELD_BYTES = 1024
"""Of a field that is no file."""
_IMAGE_FIELDS = frozenset({"image", "images", "file", "files"})
"""A part with such a name is an image even if it has neither a file name nor a type."""
_TRANSFER_ENCODINGS = frozenset({"", "7bit", "8bit", "binary", "base64", "quoted-printable"})
"""Of a part. A file in base64 is decoded as every image in base64 is: see `image_text`."""
_SHOWN_LETTERS = 40
"""Of a text that stands where an image should be."""


@dataclass(frozen=True, slots=True)
class UploadedFile:
    """A file of a form, or a whole body."""

    name: str
    data: bytes


class FormParts:
    """Collects the parts of a form from the parser's callbacks, and refuses what is too much as soon as it comes."""

    def __init__(self, max_files: int) -> None:
        self.files: list[UploadedFile] = []
        self.fields: dict[str, str] = {}
        self.complete = False
        self._max_files = max_files
        self._file_count = self._field_count = 0
        self._is_file = False
        self._begin()

    @property
    def callbacks(self) -> MultipartCallbacks:
        """What the parser calls."""
        return {
            "on_part_begin": self._begin,
            "on_header_field": self._header_name,
            "on_header_value": self._header_value,
            "on_header_end": self._header_end,
            "on_headers_finished": self._headers_finished,
            "on_part_data": self._data,
            "on_part_end": self._part_end,
            "on_end": self._end,
        }

    def _begin(self) -> None:
        self._name: str | None = None
        self._file_name: str | None = None
        self._type = self._encoding = ""
        self._pieces: list[bytes] = []
        self._header_bytes = 0
        self._header, self._value = b"", b""

    # A header or a file may come in several pieces: the parser sees the form in slices.
    def _header_name(self, data: bytes, start: int, end: int) -> None:
        self._header += data[start:end]
        self._count_header(end - start)

    def _header_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]
        self._count_header(end - start)

    def _count_header(self, amount: int) -> None:
        self._header_bytes += amount
        if self._header_bytes > MAX_HEADER_BYTES:
            raise bad_form(f"the headers of a part have no end within {MAX_HEADER_BYTES} bytes")

    def _header_end(self) -> None:
        header, value = self._header.lower(), self._value
        if header == b"content-disposition" and self._name is None:
            self._name, self._file_name = _names(value)
        elif header == b"content-type":
            self._type = _text(value.partition(b";")[0]).strip().lower()
        elif header == b"content-transfer-encoding":
            self._encoding = _text(value).strip().lower()
        elif header == b"content-encoding" and value.strip().lower() not in {b"", b"identity"}:
            raise UnsupportedEncodingError(
                f"a part of the form has the Content-Encoding {_text(value)[:60]}",
                "pack the whole body, or send the file as it is",
            )
        self._header, self._value = b"", b""

    def _headers_finished(self) -> None:
        if self._name is None:
            raise bad_form("a part has no name")
        if self._encoding not in _TRANSFER_ENCODINGS:
            raise bad_form(f"a part has the Content-Transfer-Encoding {self._encoding[:60]}")
        self._is_file = (
            self._file_name is not None
            or self._type.startswith("image/")
            or self._type == "application/octet-stream"
            or self._name.lower().removesuffix("[]") in _IMAGE_FIELDS
        )
        if self._is_file:
            self._file_count += 1
        else:
            self._field_count += 1
        if self._file_count > self._max_files or self._field_count > MAX_FIELDS:
            raise self.too_many_parts()

    def too_many_parts(self) -> BadRequestError:
        """The error for a form with more parts than are allowed."""
        return bad_form(f"{self._max_files} files and {MAX_FIELDS} other fields are allowed")

    def _data(self, data: bytes, start: int, end: int) -> None:
        self._pieces.append(data[start:end])

    def _part_end(self) -> None:
        content, name = b"".join(self._pieces), self._name or ""
        if self._encoding == "quoted-printable":
            content = binascii.a2b_qp(content)
        if self._is_file:
            if self._file_name is None:
                _check_holds_image(name, content)
            self.files.append(UploadedFile(self._file_name or "", content))
            return
        if len(content) > _MAX_FIELD_BYTES:
            reason = f"the field {name[:40]} is longer than {_MAX_FIELD_BYTES} bytes, and a file has a name or a type"
            raise bad_form(reason)
        if self._encoding == "base64":
            content = _of_base64(name, content)
        if self.fields.setdefault(name, _text(content)) != _text(content):
            raise BadRequestError(f"the form field {name[:40]} is given twice", "leave one out")

    def _end(self) -> None:
        self.complete = True


def _names(disposition: bytes) -> tuple[str | None, str | None]:
    """A part's name and its file name, from its Content-Disposition."""
    _, options = parse_options_header(disposition)
    name, file_name = options.get(b"name"), options.get(b"filename")
    names = [None if each is None else _text(each) for each in (name, file_name)]
    if b"*" in disposition:  # filename*: RFC 7578 forbids it, and some clients send it beside or instead of filename.
        extended = _extended(disposition)
        return names[0] if names[0] is not None else extended.get("name"), extended.get("filename", names[1])
    return names[0], names[1]


def _extended(disposition: bytes) -> dict[str, str]:
    """What RFC 2231 and 5987 know beside plain parameters: an alphabet, percent signs and pieces."""
    message = Message()
    message["Content-Disposition"] = _text(disposition)
    pairs = message.get_params([], "content-disposition")
    return {key.lower(): _unpacked(*value) for key, value in pairs if isinstance(value, tuple)}


def _unpacked(alphabet: str | None, _: str | None, value: str) -> str:
    """RFC 5987 knows two alphabets. Python knows some in which decoding fails whatever the value is."""
    data = value.encode("raw-unicode-escape")
    return data.decode("latin-1") if (alphabet or "").lower() == "iso-8859-1" else _text(data)


def _check_holds_image(name: str, content: bytes) -> None:
    """Say it if a field without a file name is a text, such as the name of a file that the client meant to send.

    Raises:
        EmptyBodyError: it is.
    """
    if not 0 < len(content) <= _MAX_FIELD_BYTES or is_text_image(content) or formats.identify(content) is not None:
        return
    try:
        text = content.decode()
    except UnicodeDecodeError:
        return
    if text.isprintable():
        raise EmptyBodyError(
            f"the form field {name[:40]} holds the text {text[:_SHOWN_LETTERS]!r} and no image",
            f"send the file itself (curl -F {name[:40]}=@photo.jpg), a data URI or base64",
        )


def _of_base64(name: str, content: bytes) -> bytes:
    try:
        return binascii.a2b_base64(content)
    except binascii.Error as error:
        raise bad_form(f"the field {name[:40]} is not base64 ({error})") from error


def _text(data: bytes) -> str:
    return data.decode("utf-8", "replace")


def bad_form(reason: str) -> BadRequestError:
    """The error for a form that cannot be read."""
    return BadRequestError(
        f"the form cannot be read: {reason}", "send multipart/form-data with the image in the field image"
    )
