"""The box around a mask, held to masks that are drawn and encoded here."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from handful_trainer.dataset.sources.coco.rle import mask_bounds, read_counts

MASKS = arrays(np.bool_, array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=40))


def runs_of(mask: np.ndarray) -> list[int]:
    """Counts outside and inside by turns, column by column."""
    pixels = mask.ravel(order="F")
    edges = np.flatnonzero(np.diff(pixels)) + 1
    runs = np.diff([0, *edges, pixels.size]).tolist()
    return [0, *runs] if pixels[0] else runs


def encoded(runs: list[int]) -> str:
    """COCO's text: groups of five bits, the lowest first, as long as they do not say all; see rleToString."""
    text = ""
    for position, run in enumerate(runs):
        number, more = run - (runs[position - 2] if position > 2 else 0), True
        while more:
            bits, number = number & 0x1F, number >> 5
            more = number != (-1 if bits & 0x10 else 0)
            text += chr(48 + bits + (0x20 if more else 0))
    return text


def drawn(mask: np.ndarray) -> tuple[int, int, int, int] | None:
    rows, columns = np.nonzero(mask)
    if not len(rows):
        return None
    left, top = int(columns.min()), int(rows.min())
    return left, top, int(columns.max()) - left + 1, int(rows.max()) - top + 1


@given(MASKS)
def test_the_box_is_the_one_around_the_pixels(mask: np.ndarray) -> None:
    height, width = mask.shape
    assert mask_bounds(height, width, runs_of(mask)) == drawn(mask)
    assert mask_bounds(height, width, encoded(runs_of(mask))) == drawn(mask)


@given(st.lists(st.integers(0, 2**31)))
def test_counts_come_back(runs: list[int]) -> None:
    assert read_counts(encoded(runs)) == runs


@given(
    st.text() | st.text("0123456789:;<=>?@ABCDEFGHIJKLMNOPQRSTUVWXYZ[\\]^_`abcdefghijklmno"),
    st.integers(),
    st.integers(),
)
def test_any_text_is_a_mask_or_refused(text: str, height: int, width: int) -> None:
    try:
        found = mask_bounds(height, width, text)
    except ValueError:
        return
    assert found is None or (found[0] + found[2] <= width and found[1] + found[3] <= height)


def test_a_hostile_size_costs_nothing() -> None:
    side = 2**31
    assert mask_bounds(side, side, [side * 5, 7, side * side - side * 5 - 7]) == (5, 0, 1, 7)
    with pytest.raises(ValueError, match="has other counts"):
        mask_bounds(side, side, "04")
    with pytest.raises(ValueError, match="no counts of a mask"):
        read_counts("o" * 100_000)
