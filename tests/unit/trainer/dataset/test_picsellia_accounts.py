"""Picsellia exports with strays, from a plan that knows nothing of the reader: nothing gets lost."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fakes.exports import PicselliaExport, rectangle, twelve
from handful_core.errors import DataError
from handful_trainer.dataset.accounts import Account, check_used
from handful_trainer.dataset.settings import DatasetConfig
from handful_trainer.dataset.sources.base import RawBox, RawDataset
from handful_trainer.dataset.sources.registry import open_source

Accounts = dict[str, tuple[int, int, dict[str, int]]]


def read(folder: Path) -> RawDataset:
    return open_source(DatasetConfig(source="picsellia-export", path=folder), folder).read()


def account(found: RawDataset, kind: str) -> Account:
    return next(each for each in found.accounts if each.kind == kind)


def left(found: RawDataset, kind: str) -> Mapping[str, int]:
    return {reason: entry.number for reason, entry in account(found, kind).left_out.items()}


@pytest.fixture
def export(tmp_path: Path) -> PicselliaExport:
    return twelve(tmp_path / "export")


def test_shapes_that_give_no_box_are_counted_with_what_to_do(export: PicselliaExport) -> None:
    shapes = {"lines": [{"label": "cat", "line": [[1, 2], [3, 4]]}], "points": [{"label": "cat", "point": [1, 2]}]}
    export.annotations["asset-00"][0] |= {**shapes, "ellipses": [{"label": "cat"}], "comments": ["good"], "text": None}
    found = read(export.write())
    assert left(found, "shapes") == {"drawn as lines": 1, "drawn as points": 1, "drawn as ellipses": 1}
    assert account(found, "shapes").left_out["drawn as lines"].hint == "draw rectangles or polygons instead"
    assert account(found, "shapes").used == 12


def test_where_all_shapes_are_lines_nothing_can_be_used(export: PicselliaExport) -> None:
    for records in export.annotations.values():
        records[0] |= {"rectangles": [], "lines": [{"label": "cat", "line": [[1, 2], [3, 4]]}]}
    with pytest.raises(DataError, match=r"none of the 12 shapes can be used: 12 drawn as lines .*draw rectangles"):
        check_used(read(export.write()).accounts)


def test_statuses_in_other_words_are_told(export: PicselliaExport) -> None:
    for number, status in enumerate(("AnnotationStatus.ACCEPTED", "accepted", "DONE", "done", "PENDING")):
        export.annotations[f"asset-0{number}"][0]["status"] = status
    found = read(export.write())
    assert [item.status for item in found.items[:5]] == ["accepted", "accepted", "done", "done", "pending"]
    assert found.warnings == ("2 assets have the status 'done' (asset-02, asset-03): only accepted ones are used",)


def test_of_several_files_of_an_asset_its_name_tells_or_they_are_refused(export: PicselliaExport) -> None:
    files = export.folder / "assets"
    (files / "asset-00.txt").touch()
    (files / "asset-01.png").touch()
    found = read(export.folder)  # Both are called photo asset-… .jpg.
    assert [item.path for item in found.items[:2]] == [files / "asset-00.jpg", files / "asset-01.jpg"]
    assert left(found, "image files") == {"beside the asset's file": 2}
    export.assets[1]["data"]["filename"] = "photo"
    with pytest.raises(DataError, match=r"has asset-01\.jpg and asset-01\.png for the asset asset-01: remove all but"):
        read(export.write())


def test_files_in_folders_and_of_the_system_are_counted(export: PicselliaExport) -> None:
    files = export.folder / "assets"
    for name in ("deeper/asset-00.jpg", "@eaDir/asset-00.jpg", "._asset-00.jpg"):
        (files / name).parent.mkdir(exist_ok=True)
        (files / name).touch()
    found = read(export.folder)
    assert left(found, "image files") == {"in a folder of their own": 1, "left by the system": 2}
    assert account(found, "image files").used == 12


def test_where_no_annotation_is_of_a_listed_asset_the_line_says_so(export: PicselliaExport) -> None:
    export.annotations = {f"other {asset_id}": records for asset_id, records in export.annotations.items()}
    with pytest.raises(
        DataError, match=r"none of the 12 annotations can be used: 12 of an unlisted image .*assets\.json"
    ):
        check_used(read(export.write()).accounts)


class Planned(NamedTuple):
    """An asset and what belongs to it."""

    file: bool
    older: int
    annotated: bool
    rectangles: int
    polygons: int
    lines: int
    labels: int


class Plan(NamedTuple):
    """An export."""

    assets: list[Planned]
    stray_annotations: list[int]
    """Numbers of annotations of assets that are not listed."""
    stray_files: int
    by_system: int
    deeper: int
    beside: bool
    """Is there a text file beside each asset's file?"""


PLANS = st.builds(
    Plan,
    st.lists(
        st.builds(
            Planned,
            st.booleans(),
            st.integers(0, 2),
            st.booleans(),
            st.integers(0, 3),
            st.integers(0, 2),
            st.integers(0, 2),
            st.integers(0, 1),
        ),
        max_size=6,
    ),
    st.lists(st.integers(1, 3), max_size=3),
    st.integers(0, 2),
    st.integers(0, 2),
    st.integers(0, 2),
    st.booleans(),
)


def boxes_of(asset: int, planned: Planned) -> list[RawBox]:
    boxes = [RawBox("cat", asset, n, 5 + n, 6) for n in range(planned.rectangles)]
    return boxes + [RawBox("dog", asset + n, 3, 9, 8, "polygon") for n in range(planned.polygons)]


def annotation(asset: int, planned: Planned) -> dict[str, Any]:
    return {
        "status": "ACCEPTED",
        "rectangles": [rectangle(*box[:5]) for box in boxes_of(asset, planned) if box.shape == "box"],
        "polygons": [
            {"label": box.label, "polygon": [[box.x, box.y], [box.x + box.width, box.y + box.height]]}
            for box in boxes_of(asset, planned)
            if box.shape == "polygon"
        ],
        "lines": [{"label": "cat", "line": [[1, 2], [3, 4]]}] * planned.lines,
        "classifications": [{"label": "rust"}] * planned.labels,
    }


def build(folder: Path, plan: Plan) -> None:
    annotations: dict[str, Any] = {f"stray-{n}": [{}] * number for n, number in enumerate(plan.stray_annotations)}
    files = [f"other-{n}.jpg" for n in range(plan.stray_files)] + [f".a{n}.jpg" for n in range(plan.by_system)]
    files += [f"deeper/asset-{n}.jpg" for n in range(plan.deeper)]
    for number, planned in enumerate(plan.assets):
        files += [f"asset-{number}.jpg"] * planned.file
        files += [f"asset-{number}.txt"] * (planned.file and plan.beside)
        if planned.annotated:
            annotations[f"asset-{number}"] = [annotation(number, planned), *[{"status": "REFUSED"}] * planned.older]
    (folder / "assets" / "deeper").mkdir(parents=True)
    for name in files:
        (folder / "assets" / name).touch()
    (folder / "assets.json").write_text(json.dumps([{"id": f"asset-{n}"} for n in range(len(plan.assets))]))
    (folder / "annotations.json").write_text(json.dumps(annotations))


def expected_accounts(plan: Plan) -> Accounts:
    """By kind: how many there are, how many are used, and how many are left out for each reason."""
    annotated = [planned for planned in plan.assets if planned.annotated]
    older, strays = sum(planned.older for planned in annotated), sum(plan.stray_annotations)
    lines = sum(planned.lines for planned in annotated)
    used = sum(planned.rectangles + planned.polygons + planned.labels for planned in annotated)
    files = sum(planned.file for planned in plan.assets)
    beside = files * plan.beside
    return {
        "assets": (len(plan.assets), len(plan.assets), {}),
        "annotations": (
            len(annotated) + older + strays,
            len(annotated),
            {"replaced by a newer one": older, "of an unlisted image": strays},
        ),
        "shapes": (used + lines, used, {"drawn as lines": lines}),
        "image files": (
            files + beside + plan.stray_files + plan.by_system + plan.deeper,
            files,
            {
                "beside the asset's file": beside,
                "not listed": plan.stray_files,
                "left by the system": plan.by_system,
                "in a folder of their own": plan.deeper,
            },
        ),
    }


@settings(max_examples=100)
@given(PLANS)
def test_all_that_is_found_is_used_or_left_out_under_its_reason(plan: Plan) -> None:
    folder = Path(tempfile.mkdtemp())
    try:
        build(folder, plan)
        found = read(folder)
        accounts = {
            each.kind: (each.found, each.used, {reason: entry.number for reason, entry in each.left_out.items()})
            for each in found.accounts
            if each.found
        }
        assert accounts == {
            kind: (number, used, {reason: count for reason, count in reasons.items() if count})
            for kind, (number, used, reasons) in expected_accounts(plan).items()
            if number
        }
        assert all(number == used + sum(reasons.values()) for number, used, reasons in accounts.values())
        for number, (item, planned) in enumerate(zip(found.items, plan.assets, strict=True)):
            assert item.path == (folder / "assets" / f"asset-{number}.jpg" if planned.file else None)
            assert list(item.boxes) == (boxes_of(number, planned) if planned.annotated else [])
    finally:
        shutil.rmtree(folder)


@pytest.mark.parametrize(
    ("kind", "shapes", "number"),
    [
        ("lines", [{"label": "cat", "line": [[1, 2], [3, 4]]}], 1),
        ("lines", [{"line": [[1, 2], [3, 4]]}, 7], 2),
        ("masks", [{"rle": [1, 2]}, {"label": "cat"}], 2),
        ("cuboids", [[1, 2, 3], [4, 5, 6]], 2),
        ("ellipse", {"label": "cat"}, 1),
    ],
)
def test_shapes_of_other_kinds_and_without_labels_are_counted(
    export: PicselliaExport, kind: str, shapes: object, number: int
) -> None:
    export.annotations["asset-00"][0] |= {kind: shapes, "tags": ["outdoors"], "worker": {"id": 3}}
    found = read(export.write())
    assert left(found, "shapes") == {f"drawn as {kind}": number}
    assert account(found, "shapes").left_out[f"drawn as {kind}"].hint == "draw rectangles or polygons instead"
