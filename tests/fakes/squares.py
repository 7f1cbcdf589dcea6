"""A tiny YOLO dataset of coloured squares, on which the packages of `fakes.packages` are right."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import yaml

from fakes.graphs import CELL, SIZE
from fakes.packages import CLASSES, encode, picture

Squares = dict[tuple[int, int], str]
SCENES: tuple[Squares, ...] = (
    {(1, 1): "1"},
    {(2, 4): "2", (5, 5): "3"},
    {(6, 2): "5"},
    {(3, 3): "0", (6, 6): "unknown"},
    {(0, 7): "4", (4, 4): "4"},
    {},
)


def write_squares(
    root: Path,
    scenes: Sequence[Squares] = SCENES,
    classes: Sequence[str] = CLASSES,
    splits: Sequence[str] = ("train", "val", "test"),
) -> Path:
    """Write the scenes as a YOLO dataset, all of them into every split; its folder.

    The pictures of a scene differ by a faint mark: identical images would be moved to one side of the split.
    """
    for mark, split in enumerate(splits):
        for kind in ("images", "labels"):
            (root / kind / split).mkdir(parents=True)
        for number, squares in enumerate(scenes):
            pixels = picture(squares, classes)
            pixels[-1, mark] = 40
            (root / "images" / split / f"{number}.png").write_bytes(encode(pixels))
            rows = [_row(classes.index(name), *cell) for cell, name in squares.items()]
            (root / "labels" / split / f"{number}.txt").write_text("\n".join(rows))
    content = {split: f"images/{split}" for split in splits} | {"names": dict(enumerate(classes))}
    (root / "data.yaml").write_text(yaml.safe_dump(content))
    return root


def _row(class_id: int, column: int, row: int) -> str:
    side = CELL / SIZE
    return f"{class_id} {(column + 0.5) * side} {(row + 0.5) * side} {side} {side}"
