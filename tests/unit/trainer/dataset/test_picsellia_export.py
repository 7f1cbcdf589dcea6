from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fakes.exports import PicselliaExport, twelve
from handful_core.errors import DataError
from handful_trainer.dataset.accounts import count_left_out
from handful_trainer.dataset.settings import DatasetConfig
from handful_trainer.dataset.sources.base import RawBox, RawDataset
from handful_trainer.dataset.sources.registry import open_source


def read(folder: Path) -> RawDataset:
    return open_source(DatasetConfig(source="picsellia-export", path=folder), folder).read()


@pytest.fixture
def export(tmp_path: Path) -> PicselliaExport:
    return twelve(tmp_path / "export")


def test_the_newest_annotation_counts_and_older_ones_are_counted(export: PicselliaExport) -> None:
    older = {"status": "ACCEPTED", "rectangles": [{"x": "wrong"}]}
    export.add("again", ("cat", 1, 2, 3, 4), status="PENDING", older=[older, older])
    found = read(export.write())
    item = next(item for item in found.items if item.id == "again")
    assert (item.status, item.boxes) == ("pending", (RawBox("cat", 1, 2, 3, 4),))
    assert count_left_out(found.accounts, "annotations", "replaced by a newer one") == 2


def test_what_does_not_fit_together_is_counted(export: PicselliaExport) -> None:
    export.annotations["stray"] = []
    (export.folder / "assets" / "other.jpg").touch()
    export.assets.append({"id": "no-file"})
    export.annotations["asset-00"] = []
    del export.annotations["asset-01"]
    found = read(export.write())
    items = {item.id: item for item in found.items}
    assert count_left_out(found.accounts, "annotations", "of an unlisted image") == 1
    assert count_left_out(found.accounts, "image files", "not listed") == 1
    assert items["no-file"].path is None
    assert items["asset-00"].status == items["asset-01"].status == items["no-file"].status == "none"
    assert items["asset-02"].name == "photo asset-02.jpg"


def test_polygons_become_the_boxes_around_them(export: PicselliaExport) -> None:
    polygons = [
        {"label": "cat", "polygon": [[3, 9], [10, 4], [7.5, 20]]},
        {"label": "dog", "polygon": []},
        {"label": "dog"},
    ]
    export.annotations["asset-00"][0] |= {"rectangles": [], "polygons": polygons}
    item = read(export.write()).items[0]
    assert item.boxes == (
        RawBox("cat", 3, 4, 7, 16, "polygon"),
        RawBox("dog", 0, 0, 0, 0, "polygon"),
        RawBox("dog", 0, 0, 0, 0, "polygon"),
    )


def test_classifications_and_tags_are_read(export: PicselliaExport) -> None:
    export.annotations["asset-00"][0] |= {"classifications": [{"label": "rust"}, {"label": "mildew"}]}
    export.assets[0]["tags"] = ["person:ada"]
    item = read(export.write()).items[0]
    assert (item.labels, item.tags) == (("rust", "mildew"), ("person:ada",))


def test_the_labels_that_a_pull_wrote_down_are_the_classes(export: PicselliaExport) -> None:
    assert read(export.write()).classes == ()
    (export.folder / "source.json").write_text('{"labels": ["dog", "cat", "cow"]}')
    assert read(export.folder).classes == ("dog", "cat", "cow")
    (export.folder / "source.json").write_text('{"labels": [1]}')
    with pytest.raises(DataError, match=r"source\.json has no list of labels"):
        read(export.folder)


@pytest.mark.parametrize("name", ["assets.json", "annotations.json", "assets"])
def test_a_missing_part_is_named(export: PicselliaExport, name: str) -> None:
    (export.folder / name).rename(export.folder / "elsewhere")
    with pytest.raises(DataError, match=f"has no (folder )?{name}"):
        read(export.folder)


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"nowhere does not exist: correct dataset\.path"):
        read(tmp_path / "nowhere")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b'{"a": [}', r"annotations\.json is not valid JSON: .* at line 1, column 8"),
        (b'{"a": "\xff\xfe"}', "byte 7 is not UTF-8"),
        (b"[" * 100_000, "nested too deeply"),
        (b"[]", "holds a list, not an object by asset id"),
        (b"", "line 1, column 1"),
    ],
)
def test_damaged_json_is_named_with_the_place(export: PicselliaExport, content: bytes, words: str) -> None:
    (export.folder / "annotations.json").write_bytes(content)
    with pytest.raises(DataError, match=words):
        read(export.folder)


@pytest.mark.parametrize(
    ("entry", "words"),
    [
        ("no list", "a text where the list of annotations should be"),
        ([7], "a number where an object should be"),
        ([{}], "status is missing"),
        ([{"status": 3}], "status is a number, not a text"),
        ([{"status": "ACCEPTED", "rectangles": {}}], "rectangles is an object, not a list"),
        ([{"status": "ACCEPTED", "rectangles": [[]]}], "a list where an object should be"),
        ([{"status": "ACCEPTED", "polygons": [{"label": "cat", "polygon": 5}]}], "polygon is a number, not a list"),
        (
            [{"status": "ACCEPTED", "polygons": [{"label": "cat", "polygon": [[1]]}]}],
            "polygon has a point that is not a list",
        ),
        ([{"status": "ACCEPTED", "polygons": [{"label": "cat", "polygon": [[1, "a"]]}]}], "polygon is a text, not a"),
        ([{"status": "ACCEPTED", "polygons": [{"polygon": [[1, 2]]}]}], "label is missing"),
        ([{"status": "ACCEPTED", "classifications": [{}]}], "label is missing"),
        ([{"status": "ACCEPTED", "rectangles": [{"x": 1, "y": 1, "w": 1}]}], "h is missing"),
        ([{"status": "ACCEPTED", "rectangles": [{"x": "1", "y": 1, "w": 1, "h": 1}]}], "x is a text, not a number"),
        ([{"status": "ACCEPTED", "rectangles": [{"x": True, "y": 1, "w": 1, "h": 1}]}], "x is true or false"),
        ([{"status": "ACCEPTED", "rectangles": [{"x": 1e999, "y": 1, "w": 1, "h": 1}]}], "x is not a finite number"),
        ([{"status": "ACCEPTED", "rectangles": [{"x": 1, "y": 1, "w": 1, "h": 10**400}]}], "h is not a finite number"),
        ([{"status": "ACCEPTED", "rectangles": [{"x": 1, "y": 1, "w": 1, "h": 1, "label": None}]}], "label is missing"),
    ],
)
def test_a_wrong_entry_is_refused_with_its_asset(export: PicselliaExport, entry: Any, words: str) -> None:
    export.annotations["asset-05"] = entry
    with pytest.raises(DataError, match=f"asset asset-05: {words}"):
        read(export.write())


@pytest.mark.parametrize("asset_id", ["../up", "a/b", "", ".hidden", 7, None, "a\nb", "a\x00", "x" * 300, "C:x", " a"])
def test_ids_that_cannot_name_a_file_are_refused(export: PicselliaExport, asset_id: Any) -> None:
    export.assets.append({"id": asset_id})
    with pytest.raises(DataError, match="entry 13: id"):
        read(export.write())


def test_an_asset_listed_twice_is_refused(export: PicselliaExport) -> None:
    export.assets.append(export.assets[0])
    with pytest.raises(DataError, match="asset-00 twice"):
        read(export.write())


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.floats()
    | st.integers()
    | st.text(max_size=5)
    | st.sampled_from(["ACCEPTED", "cat"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from([*"xywh", "status", "rectangles", "label", "id", "data"]), inner, max_size=5)
    ),
    max_leaves=12,
)


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(JSON)
def test_any_json_is_read_or_refused_with_a_line(export: PicselliaExport, entry: Any) -> None:
    export.annotations["asset-05"] = entry
    (export.folder / "annotations.json").write_text(json.dumps(export.annotations))
    try:
        told = str(len(read(export.folder).items))
    except DataError as error:
        told = str(error)
    assert told == "12" or "asset-05: " in told
