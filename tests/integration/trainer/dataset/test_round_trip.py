"""What is written can be read back to the same boxes, to a pixel, whatever the source."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pytest

from fakes.exports import PicselliaExport, Rectangle, coco_file, encoded, picture, yolo_folder
from handful_trainer.dataset.preparation.prepare import prepare
from handful_trainer.dataset.prepared import PreparedDataset
from handful_trainer.dataset.settings import DatasetConfig

WIDTH, HEIGHT = 640, 480
CLASSES = ("cat", "dog")


@pytest.fixture(scope="module")
def truth() -> dict[str, list[Rectangle]]:
    """Boxes of whole pixels by image name, up to the edges, of all sizes."""
    chance = random.Random(4)  # noqa: S311 - the same every time
    found: dict[str, list[Rectangle]] = {}
    for number in range(12):
        boxes = []
        for _ in range(number % 4):
            x, y = chance.randrange(WIDTH), chance.randrange(HEIGHT)
            width, height = chance.randint(1, WIDTH - x), chance.randint(1, HEIGHT - y)
            boxes.append((chance.choice(CLASSES), x, y, width, height))
        found[f"image-{number:02d}"] = [*boxes, ("dog", 0, 0, WIDTH, HEIGHT)]
    return found


def write(kind: str, folder: Path, truth: dict[str, list[Rectangle]]) -> DatasetConfig:
    """The same dataset in the shape of a source."""
    files = {name: encoded(picture(n, WIDTH, HEIGHT)) for n, name in enumerate(truth)}
    if kind == "picsellia-export":
        export = PicselliaExport(folder)
        for name, boxes in truth.items():
            export.add(name, *boxes, content=files[name])
        export.write()
    elif kind == "coco":
        coco_file(folder / "instances.json", {f"{name}.jpg": boxes for name, boxes in truth.items()}, CLASSES)
    elif kind == "yolo":
        rows = {
            f"{name}.jpg": "".join(
                f"{CLASSES.index(label)} {(x + w / 2) / WIDTH} {(y + h / 2) / HEIGHT} {w / WIDTH} {h / HEIGHT}\n"
                for label, x, y, w, h in boxes
            )
            for name, boxes in truth.items()
        }
        yolo_folder(folder, rows, CLASSES)
    else:
        (folder / "Annotations").mkdir(parents=True)
        for name, boxes in truth.items():
            things = "".join(
                f"<object><name>{label}</name><bndbox><xmin>{x}</xmin><ymin>{y}</ymin><xmax>{x + w}</xmax>"
                f"<ymax>{y + h}</ymax></bndbox></object>"
                for label, x, y, w, h in boxes
            )
            text = f"<annotation><filename>{name}.jpg</filename>{things}</annotation>"
            (folder / "Annotations" / f"{name}.xml").write_text(text)
    places = {"picsellia-export": "assets", "yolo": "images", "voc": "JPEGImages", "coco": "."}
    (folder / places[kind]).mkdir(exist_ok=True)
    for name, content in files.items():
        (folder / places[kind] / f"{name}.jpg").write_bytes(content)
    return DatasetConfig.model_validate({"source": kind, "path": folder, "classes": CLASSES, "name": "same"})


def found(dataset: PreparedDataset) -> dict[str, set[tuple[str, int, int, int, int]]]:
    samples = (sample for split in dataset.split_sizes for sample in dataset.split(split))
    return {
        path.stem.removeprefix("train_"): {
            (dataset.classes[class_id], *np.rint(box).astype(int).tolist())
            for box, class_id in zip(boxes, ids, strict=True)
        }
        for path, (boxes, ids) in samples
    }


@pytest.mark.parametrize("kind", ["picsellia-export", "yolo", "coco", "voc"])
def test_boxes_come_back_to_the_pixel(kind: str, truth: dict[str, list[Rectangle]], tmp_path: Path) -> None:
    dataset = prepare(write(kind, tmp_path / "source", truth), tmp_path / "var")
    expected = {name: {(label, x, y, x + w, y + h) for label, x, y, w, h in boxes} for name, boxes in truth.items()}
    assert found(dataset) == expected
    assert dataset.report["boxes_clipped"] == 0
    again = prepare(DatasetConfig(source="yolo", path=dataset.root, name="again"), tmp_path / "var")
    assert sorted(map(sorted, found(again).values())) == sorted(map(sorted, expected.values()))
