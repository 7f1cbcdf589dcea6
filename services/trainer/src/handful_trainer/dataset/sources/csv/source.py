"""The dataset source `csv`."""

from __future__ import annotations

import ast
import json
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path

from handful_core.folders import list_files
from handful_trainer.dataset.accounts import Books
from handful_trainer.dataset.errors import AnnotationError, MissingSourceError, check_folder
from handful_trainer.dataset.settings import DatasetConfig
from handful_trainer.dataset.sources.base import RawDataset, RawItem, SplitName, split_word
from handful_trainer.dataset.sources.csv.columns import Columns, find_columns
from handful_trainer.dataset.sources.csv.table import Row, Table, read_table
from handful_trainer.dataset.sources.image_labels import (
    FoundImages,
    ImageEntry,
    account_files,
    find_images,
    folder_warnings,
    item_warnings,
    items_of,
    sorted_classes,
)

_ROWS, _COLUMNS = "rows", "columns"
_SUFFIXES = (".csv", ".tsv")
_USUAL = "labels"
"""What the table is called that is meant if there are several."""
_MISSING = frozenset({"nan", "na", "n/a", "null", "none"})
"""How tools write that there is nothing, in lower case; a class may be called so, too."""
_SEPARATORS = (r"\s*\|\s*", r"\s*;\s*", r"\s*,\s*", r"\s+")
"""What may stand between the labels of an image that has several."""


class CsvSource:
    """Reads a table with a row for each image. Of an image with several labels none is chosen: it is left out."""

    def __init__(self, config: DatasetConfig, home: Path) -> None:
        del home
        self._path = config.path or Path()
        self._images = config.images
        self._config, self._split_counts = config.csv, config.split.source == "keep"

    def roots(self) -> tuple[Path, ...]:
        """The table, and the folder of the images."""
        images = self._images or self._file.parent
        check_folder(images, "dataset.images")
        return (self._file, images)

    def read(self) -> RawDataset:
        """All images with their classes."""
        self.roots()
        books = Books()
        table = read_table(self._file, self._config.delimiter, self._config.encoding)
        columns = find_columns(table, self._config, splits=self._split_counts)
        image, found = self._find_images(table, columns)
        _account_columns(table, {image, columns.label, columns.split, columns.group}, books)
        alone = frozenset(table.column(columns.label)) - {""}
        entries = [self._entry(row, image, columns, alone) for row in table.rows]
        books.find(_ROWS, len(entries))
        items = items_of(entries, found, _ROWS, books)
        unlisted = f"no row of {self._file.name} names it"
        account_files(books, found, self._images or self._file.parent, unlisted)
        classes = sorted_classes(name for item in items for name in item.labels)
        labels = table.column(columns.label)
        warnings = (
            *_warnings(table, labels),
            *_combined_warnings(items, frozenset(labels)),
            *folder_warnings(found),
            *item_warnings(items),
        )
        return RawDataset(tuple(items), classes, books.close(), warnings)

    @cached_property
    def _file(self) -> Path:
        """The table.

        Raises:
            MissingSourceError: there is none, or several that may be meant.
        """
        if self._path.is_file() and not self._config.file:
            return self._path
        folder = self._path.parent if self._path.is_file() else self._path
        if self._config.file:
            return folder / self._config.file
        check_folder(folder, "dataset.path")
        tables = [name for name in list_files(folder) if name.lower().endswith(_SUFFIXES)]
        usual = [name for name in tables if Path(name.lower()).stem == _USUAL]
        if len(usual or tables) == 1:
            return folder / (usual or tables)[0]
        what = f"several tables: {', '.join(tables)}" if tables else "no table (.csv or .tsv)"
        raise MissingSourceError(f"{folder} has {what}", "name the one with the labels in dataset.csv.file")

    def _find_images(self, table: Table, columns: Columns) -> tuple[int, FoundImages]:
        """The column that leads to the most images, and the images."""
        tried = []
        for index in columns.images:
            names = [cell for cell in table.column(index) if cell]
            tried.append((index, find_images(names, self._file.parent, self._images)))
            if names and tried[-1][1].number == len(tried[-1][1].paths):
                break
        return max(tried, key=lambda each: each[1].number)

    def _entry(self, row: Row, image: int, columns: Columns, alone: frozenset[str]) -> ImageEntry:
        where = f"{self._file.name}, line {row.line}"
        split = self._split(row.cells[columns.split], where) if columns.split is not None else None
        group = row.cells[columns.group] if columns.group is not None else ""
        return ImageEntry(where, row.cells[image], _labels(row.cells[columns.label], alone), split, group)

    def _split(self, cell: str, where: str) -> SplitName | None:
        if not cell:
            return None
        if (split := split_word(cell)) is None and self._split_counts:
            raise AnnotationError(
                f"{where}: {cell!r} is no split", "write train, val or test, or nothing for images to be shared out"
            )
        return split


def _labels(cell: str, alone: frozenset[str]) -> tuple[str, ...]:
    """The labels in a cell: one, several that stand alone in other rows too, or those of a list."""
    if not cell:
        return ()
    if listed := _listed(cell):
        return listed
    for separator in _SEPARATORS:
        parts = [part for part in re.split(separator, cell) if part]
        if len(parts) > 1 and all(part in alone for part in parts):
            return tuple(dict.fromkeys(parts))
    return (cell,)


def _listed(cell: str) -> tuple[str, ...]:
    """The labels of a list as Label Studio, JSON or Python write it; none if it is something else."""
    if cell[0] not in "{[":
        return ()
    try:
        content = json.loads(cell)
    except ValueError:
        try:
            content = ast.literal_eval(cell)
        except (ValueError, SyntaxError, MemoryError, RecursionError):
            return ()
    names = content.get("choices") if isinstance(content, dict) else content
    return (
        tuple(dict.fromkeys(names)) if isinstance(names, list) and all(isinstance(n, str) and n for n in names) else ()
    )


def _combined_warnings(items: Sequence[RawItem], alone: frozenset[str]) -> Iterator[str]:
    """That a class looks like several: its parts are classes, too."""
    often = Counter(name for item in items for name in item.labels)
    for name, number in often.items():
        parts = {part for separator in _SEPARATORS[:-1] for part in re.split(separator, name)} - {name}
        if parts & alone:
            yield (
                f"{number} images have the class {name!r}, which looks like several: they become a class of their own, "
                "or write the one that counts"
            )


def _account_columns(table: Table, used: set[int | None], books: Books) -> None:
    """Enter the columns: the report shows which were taken."""
    books.find(_COLUMNS, len(table.columns))
    for index, name in enumerate(table.columns):
        if index in used:
            books.use(_COLUMNS)
        else:
            books.leave_out(_COLUMNS, "that are not read", name or f"column {index + 1}")


def _warnings(table: Table, labels: Sequence[str]) -> Iterator[str]:
    if table.guessed:
        yield f"{table.path.name} is not UTF-8: it is read as Windows-1252, or set dataset.csv.encoding"
    for word in sorted({label for label in labels if label.lower() in _MISSING}):
        number = labels.count(word)
        yield f"{number} rows have the label {word}, which is taken for a class: empty the cells if they have none"
