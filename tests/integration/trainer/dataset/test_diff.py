"""`handful data diff`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from fakes.exports import PicselliaExport, encoded, picture, rectangle, twelve, yolo_folder
from handful_core.cli.main import main
from handful_core.errors import DataError
from handful_trainer.dataset.preparation.prepare import prepare
from handful_trainer.dataset.prepared import PreparedDataset
from handful_trainer.dataset.settings import DatasetConfig
from handful_trainer.tasks.detection.diff import BoxComparison
from handful_trainer.tasks.detection.diff import compare as compare_datasets


def prepared(export: PicselliaExport, home: Path, **settings: object) -> Path:
    config = {"source": "picsellia-export", "path": export.write(), "classes": ["cat", "dog"], **settings}
    return prepare(DatasetConfig.model_validate(config), home).root


def compare(first: Path, second: Path) -> BoxComparison:
    return compare_datasets(PreparedDataset.open(first), PreparedDataset.open(second))


@pytest.fixture
def export(tmp_path: Path) -> PicselliaExport:
    return twelve(tmp_path / "pets")


def boxes_of(export: PicselliaExport, asset_id: str) -> list[dict[str, object]]:
    return export.annotations[asset_id][0]["rectangles"]  # type: ignore[no-any-return]


def test_a_dataset_is_like_itself(export: PicselliaExport, tmp_path: Path) -> None:
    folder = prepared(export, tmp_path)
    found = compare(folder, folder)
    assert found.unchanged == 12
    assert not any((found.added, found.removed, found.changed, found.moved, found.boxes, found.classes_added))


def test_every_kind_of_change_is_found(export: PicselliaExport, tmp_path: Path) -> None:
    first = prepared(export, tmp_path)
    export.assets.pop(0)
    export.add("brand-new", ("cat", 1, 1, 20, 20), ("dog", 30, 1, 20, 20))
    image = export.folder / "assets" / "asset-01.jpg"
    image.unlink()
    image.write_bytes(encoded(picture(77)))
    boxes_of(export, "asset-02")[0]["x"] = 16  # By ten pixels.
    boxes_of(export, "asset-06")[0]["x"] = 10.4  # By less than one: the same.
    boxes_of(export, "asset-04")[0]["label"] = "dog"
    boxes_of(export, "asset-08").append(rectangle("dog", 40, 2, 9, 9))
    boxes_of(export, "asset-10").pop()
    found = compare(first, prepared(export, tmp_path))
    assert (found.added, found.removed, found.changed) == (["brand-new"], ["asset-00"], ["asset-01"])
    assert found.boxes == {
        "asset-02": {"added": [], "removed": [], "changed": ["cat at 6, 5, 26, 23, now cat at 16, 5, 36, 23"]},
        "asset-04": {"added": [], "removed": [], "changed": ["cat at 8, 5, 28, 23, now dog at 8, 5, 28, 23"]},
        "asset-08": {"added": ["dog at 40, 2, 49, 11"], "removed": [], "changed": []},
        "asset-10": {"added": [], "removed": ["dog at 30, 20, 46, 40"], "changed": []},
    }
    assert (found.boxes_added, found.boxes_removed, found.boxes_changed) == (3, 2, 2)


def test_moved_images_and_classes_are_told(
    export: PicselliaExport, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first = prepared(export, tmp_path)
    second = prepared(export, tmp_path, seed=5, classes=["cat", "dog", "cow"])
    with pytest.raises(SystemExit) as end:
        main(["data", "diff", str(first), str(second), "--json"])
    found = json.loads(capsys.readouterr().out)
    assert end.value.code in {0, None}
    assert found["classes_added"] == ["cow"]
    assert found["moved"]
    with pytest.raises(SystemExit):
        main(["data", "diff", str(first), str(second)])
    told = capsys.readouterr()
    assert "classes" in told.out
    assert "images moved: " in told.err


def test_what_was_not_prepared_is_refused(export: PicselliaExport, tmp_path: Path) -> None:
    foreign = yolo_folder(tmp_path / "theirs", {"train/a.jpg": "1 0.5 0.5 0.25 0.5\n"})
    with pytest.raises(DataError, match="was not prepared by Handful"):
        compare(prepared(export, tmp_path), foreign)
