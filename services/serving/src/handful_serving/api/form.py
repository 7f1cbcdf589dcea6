"""Forms with files (multipart/form-data), from memory: what bounds the body bounds them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from python_multipart.multipart import parse_options_header

from handful_serving.domain.errors import BadRequestError

_FIELD = 1024
"""Bytes of a field that is no file."""
_FIELDS = 32
_HEADERS = 8192
"""Bytes of a part's headers."""
_MOST_BOUNDARY = 256
"""Bytes; RFC 2046 allows 70."""


@dataclass(frozen=True, slots=True)
class File:
    """A file of a form, or a whole body."""

    name: str
    data: bytes


def read_form(content_type: str, body: bytes, most: int) -> tuple[list[File], dict[str, str]]:
    """The files of a form, and its other fields.

    Parsers that take a form piece by piece look at it byte by byte, and this is a tenth of all that the event loop does
    for an image; here it is whole, and the boundary is looked for.

    Args:
        content_type: the request's header.
        body: the form.
        most: files that it may have.

    Raises:
        BadRequestError: it is no form as in RFC 7578, or there is too much in it.
    """
    _, options = parse_options_header(content_type)
    boundary = options.get(b"boundary", b"")
    if not 0 < len(boundary) <= _MOST_BOUNDARY:
        raise _wrong("its Content-Type names no boundary")
    files: list[File] = []
    fields: dict[str, str] = {}
    for number, (headers, content) in enumerate(_parts(body, boundary), 1):
        name, file = _names(headers)
        if file is not None:
            files.append(File(file, content))
        elif len(content) > _FIELD:
            raise _wrong(f"the field {name[:40]} is longer than {_FIELD} bytes")
        else:
            fields[name] = _text(content)
        if len(files) > most or number - len(files) > _FIELDS:
            raise _wrong(f"{most} files and {_FIELDS} other fields are allowed")
    return files, fields


def _parts(body: bytes, boundary: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Headers and content of each part."""
    delimiter = b"\r\n--" + boundary
    start = -2 if body.startswith(delimiter[2:]) else body.find(delimiter)
    if start == -1:
        raise _wrong("its boundary is not in it")
    start += len(delimiter)
    while not body.startswith(b"--", start):
        begin = body.find(b"\r\n\r\n", start, start + _HEADERS)
        end = body.find(delimiter, begin + 4)
        if begin < 0 or end < 0:
            raise _wrong("it breaks off, or the headers of a part have no end")
        yield body[start:begin], body[begin + 4 : end]
        start = end + len(delimiter)


def _names(headers: bytes) -> tuple[str, str | None]:
    """A part's field, and the name of its file; None if it is none."""
    for line in headers.split(b"\r\n"):
        kind, _, value = line.partition(b":")
        if kind.lower() == b"content-disposition":
            _, options = parse_options_header(value)
            if b"name" in options:
                file = options.get(b"filename")
                return _text(options[b"name"]), None if file is None else _text(file)
    raise _wrong("a part has no name")


def _text(data: bytes) -> str:
    return data.decode("utf-8", "replace")


def _wrong(what: str) -> BadRequestError:
    return BadRequestError(
        f"the form cannot be read: {what}", "send multipart/form-data with the image in the field image"
    )
