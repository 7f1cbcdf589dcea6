"""Reading a table of text: its encoding and what stands between its cells are found, and nothing in it gets lost."""

from __future__ import annotations

import codecs
import csv
import io
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from handful_trainer.dataset.errors import AnnotationError, DamagedFileError, MissingSourceError
from handful_trainer.dataset.sources.base import IMAGE_SUFFIXES

_DELIMITERS = (",", ";", "\t", "|")
_BOMS = ((codecs.BOM_UTF8, "utf-8-sig"), (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"))
_WORKBOOKS = (b"PK\x03\x04", b"\xd0\xcf\x11\xe0")
"""How Excel's own files begin."""
_EXPORT = "export it again"


class Row(NamedTuple):
    """A row that is not empty."""

    line: int
    """In which it ends, from 1."""
    cells: tuple[str, ...]
    """As many as there are columns, without blanks around them."""


class Table(NamedTuple):
    """A table with the names of its columns in the first row."""

    path: Path
    columns: tuple[str, ...]
    rows: tuple[Row, ...]
    encoding: str
    guessed: bool
    """Was the encoding guessed, because the text is none of the usual ones?"""

    def column(self, index: int) -> list[str]:
        """All cells of a column."""
        return [row.cells[index] for row in self.rows]


def read_table(path: Path, delimiter: str = "", encoding: str = "") -> Table:
    """Read a table.

    Args:
        path: the file.
        delimiter: what stands between cells; that which makes the most of the first line, if not given.
        encoding: of the text; UTF-8, or what its first bytes say, if not given.

    Raises:
        DataError: it is missing, no text, or its rows have more cells than its first row.
    """
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        raise MissingSourceError(
            f"the table {path} does not exist", "correct dataset.path or dataset.csv.file"
        ) from None
    if data.startswith(_WORKBOOKS):
        raise DamagedFileError(f"{path} is an Excel workbook, not a text", "save it as CSV (UTF-8)")
    text, known, guessed = _decoded(path, data, encoding)
    marked, text = _without_mark(text)
    lines = list(_parsed(path, text, delimiter or marked or _delimiter_of(text), first=2 if marked else 1))
    if not lines:
        raise DamagedFileError(f"{path} is empty", _EXPORT)
    columns = tuple(cell.strip() for cell in lines[0].cells)
    _check_header(path, columns)
    return Table(path, columns, tuple(_row(path, line, len(columns)) for line in lines[1:]), known, guessed)


def _decoded(path: Path, data: bytes, encoding: str) -> tuple[str, str, bool]:
    """The text, its encoding, and whether that was guessed."""
    named = next((name for bom, name in _BOMS if data.startswith(bom)), "")
    chosen = encoding or named or "utf-8"
    chosen = "utf-8-sig" if codecs.lookup(chosen).name == "utf-8" else chosen
    try:
        return data.decode(chosen), chosen, False
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        if encoding or named or b"\0" in data:
            raise DamagedFileError(
                f"{path}, line {line} is no text in {chosen.removesuffix('-sig')}",
                "set dataset.csv.encoding to its encoding",
            ) from None
    return data.decode("cp1252", errors="replace"), "cp1252", True


def _without_mark(text: str) -> tuple[str, str]:
    """The delimiter that Excel's first line names (`sep=;`), and the text without that line."""
    first, _, rest = text.partition("\n")
    mark = first.strip().lower()
    return (mark[4:], rest) if mark.startswith("sep=") and len(mark) == 5 else ("", text)


def _delimiter_of(text: str) -> str:
    first = next((line for line in text.splitlines() if line.strip()), "")
    return max(_DELIMITERS, key=lambda sign: len(next(csv.reader([first], delimiter=sign), [])))


def _parsed(path: Path, text: str, delimiter: str, first: int) -> Iterator[Row]:
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    try:
        for cells in reader:
            if any(cell.strip() for cell in cells):
                yield Row(reader.line_num + first - 1, tuple(cells))
    except csv.Error as error:
        raise DamagedFileError(
            f"{path}, line {reader.line_num + first - 1}: {error}", "put quotes around cells that hold quotes, doubled"
        ) from None


def _check_header(path: Path, columns: tuple[str, ...]) -> None:
    """Refuse a table whose first row names an image: it would be lost."""
    if image := next((name for name in columns if PurePosixPath(name.lower()).suffix in IMAGE_SUFFIXES), None):
        raise DamagedFileError(
            f"the first line of {path} names no columns: {image} is an image", "write a first line, such as image,label"
        )


def _row(path: Path, line: Row, columns: int) -> Row:
    cells = tuple(cell.strip() for cell in line.cells)
    if any(cells[columns:]):
        raise AnnotationError(
            f"{path}, line {line.line} has {len(cells)} cells, and there are {columns} columns",
            "put quotes around cells that hold what stands between cells, or set dataset.csv.delimiter",
        )
    return Row(line.line, (*cells[:columns], *[""] * (columns - len(cells))))
