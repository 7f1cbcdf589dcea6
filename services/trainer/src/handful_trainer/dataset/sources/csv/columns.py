"""Which columns of a table hold images, labels, splits and groups: as configured, else by their usual names."""

from __future__ import annotations

import difflib
import re
from collections.abc import Sequence
from typing import NamedTuple

from handful_core.errors import ConfigError
from handful_trainer.dataset.accounts import few
from handful_trainer.dataset.errors import DamagedFileError
from handful_trainer.dataset.settings import CsvConfig
from handful_trainer.dataset.sources.base import split_word
from handful_trainer.dataset.sources.csv.table import Table

_IMAGE = ("image", "images", "filename", "filenames", "file", "filepath", "filepaths", "path", "imagepath", "imagename",
          "imagefile", "imagefilename", "imageid", "img", "imgpath", "imgname", "id", "name")  # fmt: skip
USUAL_LABELS = ("label", "labels", "class", "classes", "classname", "classlabel", "category", "target", "choice",
                "diagnosis", "disease", "species")  # fmt: skip
_SPLIT = ("split", "set", "subset", "dataset", "partition", "usage")
_SURELY_SPLIT = frozenset({"split", "subset", "partition"})
"""Those that are used for nothing else."""
_GROUP = ("group", "groupid", "patient", "patientid", "subject", "subjectid")
"""Usual names of columns, in lower case and without blanks and lines; the likeliest first."""
_ONE_HOT = frozenset({"0", "1", "0.0", "1.0", "true", "false", ""})


class Columns(NamedTuple):
    """Places of the columns that are read, from 0."""

    images: tuple[int, ...]
    """Columns that may hold the images; one if it is configured."""
    label: int
    split: int | None
    group: int | None


def find_columns(table: Table, config: CsvConfig, *, splits: bool = True) -> Columns:
    """The columns of a table.

    Args:
        table: it.
        config: names of columns.
        splits: whether the source's own splits count.

    Raises:
        ConfigError: a column that is configured is not there; the line names those that are.
        DamagedFileError: there is no column of labels or images, or it is not clear which it is; or a column that is
            called split holds none.
    """
    images = (_named(table, "image", config.image),) if config.image else _usual(table, _IMAGE)
    if not images:
        raise DamagedFileError(
            f"{table.path} has no column of images: it has {_list(table.columns)}", "set dataset.csv.image to one"
        )
    label = _named(table, "label", config.label) if config.label else _label(table, images)
    split = _named(table, "split", config.split) if config.split else _split(table, splits=splits)
    groups = [_named(table, "group", config.group)] if config.group else _usual(table, _GROUP)
    return Columns(tuple(i for i in images if i != label) or images, label, split, next(iter(groups), None))


def _named(table: Table, setting: str, name: str) -> int:
    """The place of a column that is configured."""
    exact = [index for index, column in enumerate(table.columns) if column == name]
    found = exact or [index for index, column in enumerate(table.columns) if _plain(column) == _plain(name)]
    if len(found) == 1:
        return found[0]
    if found:
        raise DamagedFileError(f"{table.path} has {len(found)} columns called {name}", "give them different names")
    near = difflib.get_close_matches(name, table.columns, n=1)
    raise ConfigError(
        f"dataset.csv.{setting}: {table.path} has no column {name!r}, it has {_list(table.columns)}",
        f"did you mean {near[0]}?" if near else "name one of them",
    )


def _usual(table: Table, names: Sequence[str]) -> tuple[int, ...]:
    """Places of columns with usual names, the likeliest first."""
    plain = [_plain(column) for column in table.columns]
    return tuple(index for name in names for index, column in enumerate(plain) if column == name)


def _label(table: Table, images: Sequence[int]) -> int:
    found = _usual(table, USUAL_LABELS)
    if found:
        found += tuple(index for index in range(len(table.columns)) if _is_numbered(table.columns[index]))
    if len(found) == 1:
        return found[0]
    if found:
        raise DamagedFileError(
            f"the labels of {table.path} may be in {_list([table.columns[i] for i in found])}", "set dataset.csv.label"
        )
    if one_hot := _one_hot(table, images):
        raise DamagedFileError(
            f"{table.path} has a column for each class ({_list(one_hot)} hold 0 and 1 only), and none of labels",
            "write a column label with the name of the one class that an image has",
        )
    raise DamagedFileError(
        f"{table.path} has no column of labels: it has {_list(table.columns)}", "set dataset.csv.label to one"
    )


def _is_numbered(column: str) -> bool:
    """Whether it is called like label2 or class_3."""
    plain = _plain(column)
    return plain.rstrip("0123456789") in USUAL_LABELS and plain[-1].isdecimal()


def _one_hot(table: Table, images: Sequence[int]) -> list[str]:
    """Columns that say of one class each whether an image shows it; none if there is but one."""
    found = [
        name
        for index, name in enumerate(table.columns)
        if index not in images and {cell.lower() for cell in table.column(index)} <= _ONE_HOT
    ]
    return found if len(found) > 1 and table.rows else []


def _split(table: Table, *, splits: bool) -> int | None:
    """The column of splits, if one of a usual name holds them.

    Raises:
        DamagedFileError: none does, and one can be meant for nothing else.
    """
    usual = _usual(table, _SPLIT)
    for index in usual:
        if any(split_word(cell) for cell in table.column(index)):
            return index
    for index in usual if splits else ():
        words = sorted(set(table.column(index)) - {""})
        if words and _plain(table.columns[index]) in _SURELY_SPLIT:
            raise DamagedFileError(
                f"the column {table.columns[index]} of {table.path} holds no split: it holds {few(words)}",
                "write train, val and test, or set dataset.split.source: ignore",
            )
    return None


def _plain(name: str) -> str:
    return re.sub(r"[\W_]+", "", name.casefold())


def _list(names: Sequence[str]) -> str:
    return ", ".join(name or "(one without a name)" for name in names)
