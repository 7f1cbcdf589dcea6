"""Masks as COCO writes them: numbers of pixels outside and inside by turns, column by column.

Not pycocotools: its reader of compressed counts reads and writes beyond its buffer if the text ends within a number,
and a mask of no height ends the process (maskApi.c, rleFrString and rleToBbox, version 2.0.11). Only the box around a
mask is needed, for which no mask has to be drawn: a large size costs nothing.
"""

from __future__ import annotations

from collections.abc import Sequence

_BITS, _MORE, _NEGATIVE = 5, 0x20, 0x10
_FIRST, _LAST = ord("0"), ord("o")
_DIGITS = 8
"""Characters of a number, at most: more than COCO's own 32 bits need."""

Bounds = tuple[int, int, int, int]
"""Left, top, width and height in pixels."""


def mask_bounds(height: int, width: int, counts: str | Sequence[int]) -> Bounds | None:
    """The box around a mask, None if no pixel is inside.

    Args:
        height: of the mask, in pixels.
        width: of the mask, in pixels.
        counts: numbers of pixels outside and inside by turns, or the text that COCO makes of them.

    Raises:
        ValueError: the counts are damaged, or are those of another size.
    """
    runs = read_counts(counts) if isinstance(counts, str) else counts
    if height <= 0 or width <= 0 or min(runs, default=0) < 0 or sum(runs) != height * width:
        raise ValueError(f"a mask of {width} x {height} pixels has other counts")
    inside = [(start, start + run - 1) for start, run in _starts(runs) if run]
    if not inside:
        return None
    left, right = inside[0][0] // height, inside[-1][1] // height
    if any(first // height != last // height for first, last in inside):
        return left, 0, right - left + 1, height  # A run goes over the edge of a column: it has its bottom and top.
    top = min(first % height for first, _ in inside)
    bottom = max(last % height for _, last in inside)
    return left, top, right - left + 1, bottom - top + 1


def read_counts(text: str) -> list[int]:
    """The counts that a text stands for: five bits a character; from the fourth on, the difference from two before.

    Source of the format: rleToString in COCO's maskApi.c.

    Raises:
        ValueError: it is no such text.
    """
    counts: list[int] = []
    number = digits = 0
    for character in text:
        code = ord(character) - _FIRST
        if not 0 <= code <= _LAST - _FIRST or digits == _DIGITS:
            raise ValueError("these are no counts of a mask")
        number |= (code & 0x1F) << _BITS * digits
        digits += 1
        if code & _MORE:
            continue
        if code & _NEGATIVE:
            number -= 1 << _BITS * digits
        counts.append(number + (counts[-2] if len(counts) > 2 else 0))
        number = digits = 0
    if digits:
        raise ValueError("the counts of a mask break off")
    return counts


def _starts(runs: Sequence[int]) -> list[tuple[int, int]]:
    """Start and length of each run inside."""
    found, position = [], 0
    for number, run in enumerate(runs):
        if number % 2:
            found.append((position, run))
        position += run
    return found
