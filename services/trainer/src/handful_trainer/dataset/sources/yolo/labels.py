"""YOLO's label files: a line for each object."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Literal, NamedTuple

from handful_trainer.dataset.errors import AnnotationError
from handful_trainer.dataset.sources.base import RawBox

LabelRows = Literal["auto", "boxes", "outlines"]
_BOX = 5
"""Numbers of a line that is a box: class, centre x and y, width and height, in shares of the image."""
_QUAD = 9
"""Numbers of a line with the corners of a turned box (OBB), the one outline that always has as many points."""
_HINT = "a line is: class x y width height"
_SLACK = 0.01
"""Share of the image that a box may reach over its edge."""
_FAR = 2.0
"""Shares above this are none: a box that reaches over the edge has its centre inside."""


class Row(NamedTuple):
    """A line of a label file: its class and the other numbers."""

    line: int
    """Its number, from 1."""
    class_id: int
    values: tuple[float, ...]


def read_rows(path: Path) -> tuple[Row, ...]:
    """The lines of a label file.

    Raises:
        FileNotFoundError: there is none.
        AnnotationError: a line is none of numbers; the error names file and line.
    """
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except UnicodeDecodeError:
        raise AnnotationError(f"{path} is no text", "write its labels again") from None
    except OSError as error:
        if isinstance(error, FileNotFoundError | NotADirectoryError) and not path.is_symlink():
            raise
        raise AnnotationError(f"{path} cannot be read ({error.strerror})", "correct or remove it") from None
    return tuple([_row(path, n, line.split()) for n, line in enumerate(lines, 1) if line.strip()])


def _row(path: Path, line: int, words: list[str]) -> Row:
    where = f"{path}, line {line}"
    try:
        class_id, *values = map(float, words)
    except ValueError:
        raise AnnotationError(f"{where} holds something that is not a number", _HINT) from None
    if len(words) < _BOX:
        raise AnnotationError(f"{where} holds {len(words)} numbers", _HINT)
    if not (math.isfinite(class_id) and all(map(math.isfinite, values))) or class_id != int(class_id):
        raise AnnotationError(f"{where} holds a number that does not fit", _HINT)
    return Row(line, int(class_id), tuple(values))


def read_labels(path: Path, names: Sequence[str]) -> tuple[RawBox, ...]:
    """The boxes of a label file known to hold boxes and outlines, in shares of the image; none without a file.

    Raises:
        AnnotationError: a line is neither; the error names file and line.
    """
    try:
        rows = read_rows(path)
    except (FileNotFoundError, NotADirectoryError):
        return ()
    return tuple([RowReader("outlines", None).box(path, row, names) for row in rows])


class RowReader:
    """Tells boxes, outlines and key points apart.

    A line of more than five numbers may be an outline, a pose (`kpt_shape` in data.yaml says so), or a box with a
    confidence or a track behind it. One line alone cannot tell: all lines of a dataset can.

    Args:
        setting: `dataset.label_rows`.
        keypoints: numbers that data.yaml's kpt_shape puts behind a box; None without one.
    """

    def __init__(self, setting: LabelRows, keypoints: int | None) -> None:
        self._setting = setting
        self._keypoints = keypoints

    def check(self, long_rows: Iterable[tuple[Path, Row]]) -> None:
        """Refuse lines of which nobody can say what they are.

        Args:
            long_rows: all lines of the dataset with more than five numbers, and their files.

        Raises:
            AnnotationError: the first such line is named.
        """
        if self._setting != "auto" or self._keypoints is not None:
            return
        rows = list(long_rows)
        lengths = {len(row.values) + 1 for _, row in rows}
        # Outlines of one length are rare, but for the four corners of turned boxes.
        closely = len(lengths) > 1 or _QUAD in lengths
        if not rows or not all(_may_be_box(row, closely=closely) for _, row in rows):
            return
        path, row = rows[0]
        raise AnnotationError(
            f"{_place(path, row)} holds {len(row.values) + 1} numbers: it may be an outline, or a box with key points, "
            f"a confidence or a track behind it, as all {len(rows)} longer lines may",
            "give data.yaml a kpt_shape, or say with dataset.label_rows what it is: boxes or outlines",
        )

    def box(self, path: Path, row: Row, names: Sequence[str]) -> RawBox:
        """The box of a line, in shares of the image.

        Raises:
            AnnotationError: the line has a length that does not fit.
        """
        label = names[row.class_id] if 0 <= row.class_id < len(names) else f"class {row.class_id}"
        x, y, width, height, *more = row.values
        if not more or self._is_box(path, row):
            return RawBox(label, x - width / 2, y - height / 2, width, height)
        across, down = row.values[::2], row.values[1::2]
        left, top = min(across), min(down)
        return RawBox(label, left, top, max(across) - left, max(down) - top, "polygon")

    def _is_box(self, path: Path, row: Row) -> bool:
        """Is a line of more than five numbers a box with something behind it, rather than an outline?"""
        numbers = len(row.values) + 1
        if self._keypoints is not None:
            if numbers == _BOX + self._keypoints:
                return True
            raise AnnotationError(
                f"{_place(path, row)} holds {numbers} numbers", f"with data.yaml's kpt_shape it has 5 or "
                f"{_BOX + self._keypoints}: class x y width height and the key points",
            )  # fmt: skip
        if self._setting == "boxes":
            return True
        if numbers % 2:
            return False
        raise AnnotationError(
            f"{_place(path, row)} holds {numbers} numbers", f"{_HINT}; if a confidence or a track follows, "
            "take the box alone with dataset.label_rows=boxes",
        )  # fmt: skip


def is_share(row: Row) -> bool:
    """Can the numbers be shares of the image? Those of a box in pixels or per cent are far above 1."""
    return max(map(abs, row.values[:4])) <= _FAR


def unit_of(rows: Iterable[Row]) -> str:
    """What numbers that are no shares are: `pixels`, or `per cent` if none of them is above 100."""
    return "per cent" if all(max(row.values[:4]) <= 100 for row in rows) else "pixels"


def _may_be_box(row: Row, *, closely: bool) -> bool:
    """Would the first four numbers make a box inside the image?

    Args:
        row: a line.
        closely: what follows must be at most two numbers, or points inside the box.
    """
    x, y, width, height, *more = row.values
    sides = (x - width / 2, y - height / 2, x + width / 2, y + height / 2)
    if width <= 0 or height <= 0 or not all(-_SLACK <= side <= 1 + _SLACK for side in sides):
        return False
    left, top, right, bottom = sides
    return (
        not closely
        or len(more) <= 2
        or any(
            len(more) % step == 0
            and all(left <= a <= right and top <= b <= bottom for a, b in zip(more[::step], more[1::step], strict=True))
            for step in (2, 3)
        )
    )


def _place(path: Path, row: Row) -> str:
    return f"{path}, line {row.line}"
