"""Pictures whose answer is known: coloured squares for the tiny models of `fakes.packages`, ten times as large."""

from __future__ import annotations

from collections.abc import Mapping

import cv2
import numpy as np

from fakes.graphs import CELL
from fakes.packages import picture

SCALE = 10
SIDE = 8 * CELL * SCALE
"""Width and height of a scene in pixels."""

Cell = tuple[int, int]


def scene(squares: Mapping[Cell, str], faint: Mapping[Cell, float] | None = None) -> np.ndarray:
    """A picture (SIDE, SIDE, 3), BGR, uint8.

    Args:
        squares: (column, row) of the cell to class name.
        faint: how bright a cell's colour is, 0 to 1. The less bright, the less sure the model is of it.
    """
    pixels = picture(squares)
    for (column, row), share in (faint or {}).items():
        cell = pixels[row * CELL : (row + 1) * CELL, column * CELL : (column + 1) * CELL]
        cell[:] = (cell * share).astype(np.uint8)
    return cv2.resize(pixels, (SIDE, SIDE), interpolation=cv2.INTER_NEAREST)


def cell_box(column: int, row: int) -> tuple[int, int, int, int]:
    """The box of a cell in the scene's pixels: x1, y1, x2, y2."""
    side = CELL * SCALE
    return (column * side, row * side, (column + 1) * side, (row + 1) * side)
