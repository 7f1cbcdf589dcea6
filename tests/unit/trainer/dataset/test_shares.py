"""Boxes whose numbers are shares of the image where pixels should be: refused, or left out and named."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from fakes.exports import PicselliaExport, coco_file
from handful_core.errors import DataError
from handful_trainer.dataset.settings import DatasetConfig
from handful_trainer.dataset.sources.base import RawDataset
from handful_trainer.dataset.sources.registry import open_source

Sides = tuple[float, float, float, float]
PIXELS, SHARES, FLAT = (4, 5, 20, 18), (0.25, 0.5, 0.5, 0.25), (0, 0, 0, 0)


def coco(folder: Path, boxes: Sequence[Sides]) -> None:
    for number in range(len(boxes)):
        (folder / f"{number}.jpg").touch()
    found = {f"{number}.jpg": [("cat", *box)] for number, box in enumerate(boxes)}
    coco_file(folder / "all.json", found)  # type: ignore[arg-type]


def voc(folder: Path, boxes: Sequence[Sides]) -> None:
    for number, (x, y, width, height) in enumerate(boxes):
        sides = f"<xmin>{x}</xmin><ymin>{y}</ymin><xmax>{x + width}</xmax><ymax>{y + height}</ymax>"
        (folder / f"{number}.xml").write_text(
            f"<annotation><object><name>cat</name><bndbox>{sides}</bndbox></object></annotation>"
        )
        (folder / f"{number}.jpg").touch()


def picsellia(folder: Path, boxes: Sequence[Sides]) -> None:
    export = PicselliaExport(folder / "export")
    for number, box in enumerate(boxes):
        export.add(str(number), ("cat", *box), content=b"")  # type: ignore[arg-type]
    for path in export.write().iterdir():
        path.rename(folder / path.name)
    export.folder.rmdir()


WRITERS: dict[str, tuple[Callable[[Path, Sequence[Sides]], None], str, str]] = {
    "coco": (coco, "annotations", "3.jpg"),
    "voc": (voc, "objects", "3.xml"),
    "picsellia-export": (picsellia, "shapes", "3"),
}


def read(source: str, folder: Path, boxes: Sequence[Sides]) -> RawDataset:
    WRITERS[source][0](folder, boxes)
    return open_source(DatasetConfig(source=source, path=folder), folder).read()


@pytest.mark.parametrize("source", WRITERS)
@pytest.mark.parametrize(
    ("boxes", "number"),
    [([SHARES], "1 of 1"), ([PIXELS, SHARES], "1 of 2"), ([PIXELS, SHARES, SHARES, PIXELS, FLAT], "2 of 4")],
)
def test_from_half_of_the_boxes_on_shares_are_refused(
    tmp_path: Path, source: str, boxes: Sequence[Sides], number: str
) -> None:
    with pytest.raises(DataError, match=rf"shares of the image \(0\.25, 0\.5, .*\), as {number} are.*multiply them by"):
        read(source, tmp_path, boxes)


@pytest.mark.parametrize("source", WRITERS)
def test_a_few_shares_are_left_out_and_named(tmp_path: Path, source: str) -> None:
    found = read(source, tmp_path, [PIXELS, PIXELS, FLAT, SHARES])
    assert [[box[1:5] for box in item.boxes] for item in found.items] == [[PIXELS], [PIXELS], [FLAT], []]
    _, kind, name = WRITERS[source]
    account = next(account for account in found.accounts if account.kind == kind)
    assert (account.found, account.used) == (4, 3)
    hint = "multiply them by the image's width and height"
    assert list(account.warnings()) == [f"1 of 4 {kind} in shares of the image ({name}): {hint}"]
