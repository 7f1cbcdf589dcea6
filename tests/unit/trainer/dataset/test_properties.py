"""Whatever lies in the files is read rightly, or refused with a line that names the asset; no box leaves the image."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from fakes.exports import PicselliaExport, coco_file, twelve
from handful_core.errors import DataError
from handful_trainer.dataset.inspection.facts import ImageFacts
from handful_trainer.dataset.preparation.assets import Asset, classify_asset
from handful_trainer.dataset.settings import DatasetConfig
from handful_trainer.dataset.sources.base import RawDataset, RawItem
from handful_trainer.dataset.sources.registry import open_source
from handful_trainer.tasks.detection.label_format import BoxFormat

WIDTH, HEIGHT = 64, 48
IDS = {"cat": 0, "dog": 1}
_NUMBERS = st.integers() | st.floats() | st.integers(-100, 200)
_ODD = st.none() | st.booleans() | st.text(max_size=3) | st.lists(st.integers(), max_size=3) | _NUMBERS
_LABELS = st.sampled_from(["cat", "dog", "cow"])


def mostly(right: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """What belongs there, now and then something else."""
    return st.one_of(right, right, right, right, _ODD)


_RECTANGLES = st.fixed_dictionaries({}, optional={key: mostly(_NUMBERS) for key in "xywh"} | {"label": mostly(_LABELS)})
_POLYGONS = st.fixed_dictionaries(
    {}, optional={"polygon": mostly(st.lists(st.lists(mostly(_NUMBERS), max_size=3))), "label": mostly(_LABELS)}
)
_ANNOTATIONS = st.fixed_dictionaries(
    {},
    optional={
        "status": mostly(st.sampled_from(["ACCEPTED", "PENDING"])),
        "rectangles": mostly(st.lists(mostly(_RECTANGLES), max_size=4)),
        "polygons": mostly(st.lists(mostly(_POLYGONS), max_size=2)),
        "classifications": mostly(st.lists(mostly(st.fixed_dictionaries({"label": mostly(_LABELS)})), max_size=2)),
    },
)
QUICK = settings(deadline=None, max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture
def export(tmp_path: Path) -> PicselliaExport:
    return twelve(tmp_path / "export")


def read(source: str, path: Path) -> RawDataset | str:
    """What is there, or the line that says why not."""
    try:
        return open_source(DatasetConfig.model_validate({"source": source, "path": path}), path).read()
    except DataError as error:
        return str(error)


def cleaned(item: RawItem) -> Asset:
    return classify_asset(item, ImageFacts(width=WIDTH, height=HEIGHT), IDS, BoxFormat())


def check(asset: Asset) -> None:
    """Every box is accounted for, and what is kept lies in the image."""
    assert len(asset.kept) + len(asset.labels.dropped) == (len(asset.item.boxes) if asset.outcome == "usable" else 0)
    for box in asset.kept:
        assert all(map(math.isfinite, box[1:5]))
        assert 0 <= box.left < box.right <= WIDTH
        assert 0 <= box.top < box.bottom <= HEIGHT


def is_right(annotation: Any) -> bool:
    """Is it what Picsellia gives? Said in other words than the reader's."""

    def number(value: Any) -> bool:
        return type(value) in {int, float} and abs(value) <= 1.7e308

    def shape(value: Any) -> bool:
        return isinstance(value, dict) and isinstance(value.get("label"), str) and value["label"] != ""

    def rectangle(value: Any) -> bool:
        return shape(value) and all(number(value.get(key)) for key in "xywh")

    def point(value: Any) -> bool:
        return isinstance(value, list) and len(value) == 2 and all(map(number, value))

    def polygon(value: Any) -> bool:
        points = value.get("polygon") if isinstance(value, dict) else 0
        return shape(value) and (points is None or (isinstance(points, list) and all(map(point, points))))

    if not isinstance(annotation, dict) or not isinstance(annotation.get("status"), str) or not annotation["status"]:
        return False
    kinds = {"rectangles": rectangle, "polygons": polygon, "classifications": shape}
    lists = {key: annotation.get(key) or ([] if annotation.get(key) in (None, []) else 0) for key in kinds}
    return all(isinstance(lists[key], list) and all(map(kinds[key], lists[key])) for key in kinds)


@QUICK
@given(_ANNOTATIONS)
@example({"status": "ACCEPTED", "rectangles": [{"x": -1e308, "y": 0, "w": 1e308, "h": 1.0, "label": "cat"}]})
@example({"status": "ACCEPTED", "rectangles": [{"x": 63.9999, "y": 0, "w": 9, "h": 1e-9, "label": "cat"}]})
@example({"status": "ACCEPTED", "polygons": [{"label": "cat", "polygon": [[1e308, -1e308], [-1e308, 1e308]]}]})
def test_an_annotation_is_read_rightly_or_refused_by_name(export: PicselliaExport, annotation: Any) -> None:
    export.annotations["asset-05"] = [annotation]
    (export.folder / "annotations.json").write_text(json.dumps(export.annotations))
    found = read("picsellia-export", export.folder)
    if isinstance(found, str):
        assert "asset asset-05: " in found
        assert len(found.splitlines()) == 1
        assert not is_right(annotation)
        return
    assert is_right(annotation)
    item = next(item for item in found.items if item.id == "asset-05")
    rectangles = [(r["label"], r["x"], r["y"], r["w"], r["h"]) for r in annotation.get("rectangles") or []]
    assert [tuple(box[:5]) for box in item.boxes if box.shape == "box"] == rectangles
    assert item.status == annotation["status"].lower()
    check(cleaned(item))


_COCO_ANNOTATIONS = st.fixed_dictionaries(
    {"image_id": st.integers(1, 3)},
    optional={
        "bbox": mostly(st.lists(mostly(_NUMBERS), min_size=4, max_size=4)),
        "category_id": mostly(st.integers(1, 3)),
        "segmentation": mostly(st.lists(mostly(st.lists(mostly(_NUMBERS), max_size=6)), max_size=2)),
        "iscrowd": mostly(st.integers(0, 1)),
    },
)


@QUICK
@given(st.lists(_COCO_ANNOTATIONS, max_size=4))
def test_coco_is_read_or_refused_by_the_images_name(tmp_path: Path, annotations: list[Any]) -> None:
    path = coco_file(tmp_path / "coco.json", {"a.jpg": [], "b.jpg": []})
    (tmp_path / "a.jpg").touch()
    content = json.loads(path.read_text()) | {"annotations": annotations}
    path.write_text(json.dumps(content))
    found = read("coco", path)
    if isinstance(found, str):
        assert "image a.jpg: " in found or "image b.jpg: " in found
        return
    for item in found.items:
        check(cleaned(item))


@QUICK
@given(st.lists(st.lists(st.text("0123456789.-e naif", max_size=6) | _NUMBERS.map(str), max_size=8), max_size=4))
def test_yolo_labels_are_read_or_refused_by_file_and_line(tmp_path: Path, rows: list[list[str]]) -> None:
    for name in ("images", "labels"):
        (tmp_path / name).mkdir(exist_ok=True)
    (tmp_path / "images" / "a.jpg").touch()
    (tmp_path / "labels" / "a.txt").write_text("\n".join(" ".join(row) for row in rows))
    (tmp_path / "data.yaml").write_text("names: [cat, dog]\ntrain: images\n")
    found = read("yolo", tmp_path)
    if isinstance(found, str):
        assert "a.txt, line " in found
        return
    (item,) = found.items
    check(cleaned(item))


@QUICK
@given(
    st.lists(
        st.tuples(st.sampled_from(["xmin", "xmax", "ymin", "ymax", "x1", "y1"]), mostly(_NUMBERS).map(str)), max_size=6
    )
)
def test_voc_files_are_read_or_refused_by_file(tmp_path: Path, sides: list[tuple[str, str]]) -> None:
    text = "".join(f"<{side}>{value.replace('&', '').replace('<', '')}</{side}>" for side, value in sides)
    content = f"<annotation><object><name>cat</name><bndbox>{text}</bndbox></object></annotation>"
    (tmp_path / "a.xml").write_text(content, errors="replace")
    (tmp_path / "a.jpg").touch()
    found = read("voc", tmp_path)
    if isinstance(found, str):
        assert "a.xml" in found
        return
    (item,) = found.items
    check(cleaned(item))
