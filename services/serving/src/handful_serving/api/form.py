"""Forms with files, held in memory: what bounds the body bounds them."""

from __future__ import annotations

from dataclasses import dataclass, field

from python_multipart import MultipartParser
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import parse_options_header

from handful_serving.domain.errors import BadRequestError

_FIELD = 1024
"""Bytes of a field that is no file."""
_FIELDS = 32
_ADVICE = "send multipart/form-data with the image in the field image"


@dataclass(frozen=True, slots=True)
class File:
    """A file of a form, or a whole body."""

    name: str
    data: bytes


@dataclass(slots=True)
class _Part:
    """A part of a form, as far as it has come."""

    disposition: bytes = b""
    name: str = ""
    file: str | None = None
    """The file's name; None if this is no file."""
    content: list[bytes] = field(default_factory=list)
    size: int = 0


class FormReader:
    """Takes a form's bytes as they come. Starlette's own would pass each file through a temporary one.

    Args:
        content_type: the request's header.
        most: files that the form may have.

    Raises:
        BadRequestError: the header names no boundary.
    """

    def __init__(self, content_type: str, most: int) -> None:
        self.files: list[File] = []
        self.fields: dict[str, str] = {}
        self._most = most
        self._part = _Part()
        self._header_name = self._header_value = b""
        self._ended = False
        _, options = parse_options_header(content_type)
        try:
            self._parser = MultipartParser(
                options[b"boundary"],
                {
                    "on_part_begin": self._begin,
                    "on_header_field": self._more_name,
                    "on_header_value": self._more_value,
                    "on_header_end": self._header,
                    "on_headers_finished": self._headers,
                    "on_part_data": self._data,
                    "on_part_end": self._end,
                    "on_end": self._finish,
                },
            )
        except KeyError as error:
            raise _wrong("its Content-Type names no boundary") from error
        except FormParserError as error:
            raise _wrong(str(error)) from error

    def write(self, chunk: bytes) -> None:
        """Take the next bytes.

        Raises:
            BadRequestError: they are no form, or there is too much in it.
        """
        try:
            self._parser.write(chunk)
        except FormParserError as error:
            raise _wrong(str(error)) from error

    def close(self) -> None:
        """All has come.

        Raises:
            BadRequestError: the form breaks off.
        """
        if not self._ended:
            raise _wrong("it breaks off")

    def _begin(self) -> None:
        self._part = _Part()

    def _more_name(self, data: bytes, start: int, end: int) -> None:
        self._header_name += data[start:end]

    def _more_value(self, data: bytes, start: int, end: int) -> None:
        self._header_value += data[start:end]

    def _header(self) -> None:
        if self._header_name.lower() == b"content-disposition":
            self._part.disposition = self._header_value
        self._header_name = self._header_value = b""

    def _headers(self) -> None:
        _, options = parse_options_header(self._part.disposition)
        if b"name" not in options:
            raise _wrong("a part has no name")
        self._part.name = _text(options[b"name"])
        if b"filename" in options:
            self._part.file = _text(options[b"filename"])

    def _data(self, data: bytes, start: int, end: int) -> None:
        part = self._part
        part.size += end - start
        if part.file is None and part.size > _FIELD:
            raise _wrong(f"the field {part.name[:40]} is longer than {_FIELD} bytes")
        part.content.append(data[start:end])

    def _end(self) -> None:
        part, content = self._part, b"".join(self._part.content)
        if part.file is not None:
            self.files.append(File(part.file, content))
        else:
            self.fields[part.name] = _text(content)
        if len(self.files) > self._most or len(self.fields) > _FIELDS:
            raise _wrong(f"{self._most} files and {_FIELDS} other fields are allowed")

    def _finish(self) -> None:
        self._ended = True


def _text(data: bytes) -> str:
    return data.decode("utf-8", "replace")


def _wrong(what: str) -> BadRequestError:
    return BadRequestError(f"the form cannot be read: {what}", _ADVICE)
