"""The three datasets of real images beside the repository."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from handful_core.errors import DataError
from handful_trainer.dataset.preparation.prepare import prepare
from handful_trainer.dataset.prepared import ASSETS, PreparedDataset
from handful_trainer.dataset.settings import DatasetConfig

CLASSES = ("0", "1", "2", "3", "4", "5", "unknown")


def prepared(folder: Path, home: Path) -> PreparedDataset:
    settings = DatasetConfig(source="picsellia-export", path=folder, classes=CLASSES, unknown_labels="drop")
    return prepare(settings, home)


def test_every_known_defect_is_found(shared_data: Path, tmp_path: Path) -> None:
    folder = shared_data / "fingers-315"
    dataset = prepared(folder, tmp_path)
    expected = json.loads((folder / "expected.json").read_text())
    assert {key: dataset.report[key] for key in expected} == expected
    assert sum(dataset.split_sizes.values()) == expected["usable_images"]
    boxes = [found for split in dataset.split_sizes for _, (found, _) in dataset.split(split)]
    assert sum(map(len, boxes)) == expected["boxes_kept"]
    assert sum(len(found) == 0 for found in boxes) == expected["usable_without_boxes"]


def test_a_label_that_is_no_class_is_refused_by_default(shared_data: Path, tmp_path: Path) -> None:
    settings = DatasetConfig(source="picsellia-export", path=shared_data / "fingers-315", classes=CLASSES)
    with pytest.raises(DataError, match="'thumbs-up' is not one of the classes"):
        prepare(settings, tmp_path)


def test_clean_images_are_all_used_and_evenly_split(shared_data: Path, tmp_path: Path) -> None:
    dataset = prepared(shared_data / "fingers-1500", tmp_path)
    assert dataset.report["usable_images"] == 1500
    assert dataset.report["boxes_kept"] == 2042
    assert dataset.report["warnings"] == dataset.report["defects"] == []
    for split, share in (("train", 0.8), ("val", 0.1), ("test", 0.1)):
        found = dataset.report["splits"][split]
        assert found["images"] == pytest.approx(1500 * share, abs=1500 * 0.02)
        for name, boxes in found["boxes_per_class"].items():
            assert boxes == pytest.approx(dataset.report["boxes_per_class"][name] * share, rel=0.15)


def test_classes_that_a_dataset_lacks_are_told(shared_data: Path, tmp_path: Path) -> None:
    dataset = prepared(shared_data / "fingers-office-1000", tmp_path)
    assert dataset.report["boxes_kept"] == dataset.report["usable_images"] == 1000
    assert dataset.report["warnings"] == ["no image shows 0 or unknown: the model cannot learn it"]
    assert dataset.split_sizes == {"train": 800, "val": 100, "test": 100}


@pytest.mark.parametrize("name", ["fingers-315", "fingers-1500", "fingers-office-1000"])
def test_a_look_at_the_structure_alone_finds_the_same(shared_data: Path, tmp_path: Path, name: str) -> None:
    settings = {
        "source": "picsellia-export",
        "path": shared_data / name,
        "classes": CLASSES,
        "unknown_labels": "drop",
        "keep_together": {"near_duplicates": -1},
    }
    decoded, structure = (
        prepare(DatasetConfig.model_validate({**settings, "check": check}), tmp_path)
        for check in ("decode", "structure")
    )
    assert _listed(structure) == _listed(decoded)
    assert decoded.report["not_decoded"] == 0
    assert structure.report["not_decoded"] > structure.report["usable_images"] * 0.9
    assert f"{structure.report['not_decoded']} images were not decoded" in structure.report["warnings"][0]
    others = {"fingerprint", "not_decoded", "warnings"}
    assert {k: v for k, v in structure.report.items() if k not in others} == {
        k: v for k, v in decoded.report.items() if k not in others
    }
    assert structure.report["warnings"][1:] == decoded.report["warnings"]


def _listed(dataset: PreparedDataset) -> list[dict[str, Any]]:
    """The list of assets; perceptual hashes are those of decoded images alone."""
    lines = (dataset.root / ASSETS).read_text().splitlines()
    return [{key: value for key, value in json.loads(line).items() if key != "phash"} for line in lines]


def classified(folder: Path, home: Path, source: str, **settings: Any) -> PreparedDataset:
    config = DatasetConfig.model_validate({"source": source, "path": folder, **settings})
    return prepare(config, home, task="classify")


def test_bean_leaves_keep_their_own_splits(shared_data: Path, tmp_path: Path) -> None:
    dataset = classified(shared_data / "beans-field", tmp_path, "folder")
    assert dataset.classes == ("angular_leaf_spot", "bean_rust", "healthy")
    assert sum(dataset.split_sizes.values()) == 1167
    for split in ("train", "val", "test"):
        for name in dataset.classes:
            files = list((dataset.root / split / name).iterdir())
            assert len(files) == dataset.report["splits"][split]["labels_per_class"][name]
    own = sorted(path.stem for path in (shared_data / "beans-field" / "val").rglob("*.jpg"))
    assert sorted(path.stem.split("_", 1)[1].removeprefix(f"{path.parent.name}_")
                  for path in (dataset.root / "val").rglob("*.jpg")) == own  # fmt: skip


def test_coffee_leaves_come_from_a_table(shared_data: Path, tmp_path: Path) -> None:
    split = {"train": 0.7, "val": 0.2, "test": 0.1}
    dataset = classified(shared_data / "leaves-coffee", tmp_path, "csv", split=split)
    expected = {"cercospora": 118, "healthy": 218, "miner": 310, "phoma": 278, "rust": 425}
    assert dataset.report["labels_per_class"] == expected
    for name, share in split.items():
        assert dataset.split_sizes[name] == pytest.approx(1349 * share, abs=1349 * 0.01)
        for label, images in dataset.report["splits"][name]["labels_per_class"].items():
            assert images == pytest.approx(expected[label] * share, abs=2)


@pytest.mark.parametrize("own", ["keep", "ignore"])
def test_crops_of_one_leaf_are_kept_together_and_the_published_leak_is_told(
    own: str, shared_data: Path, tmp_path: Path
) -> None:
    shares = {"train": 0.7, "val": 0.2, "test": 0.1}
    settings = {"keep_together": {"pattern": r"^(\d+)_"}, "split": shares | {"source": own}}
    dataset = classified(shared_data / "leaves-symptoms", tmp_path, "folder", **settings)
    assert dataset.report.get("source_splits_ignored", 0) == (500 if own == "ignore" else 0)
    if own == "ignore":
        assert all(dataset.split_sizes[name] == pytest.approx(500 * share, abs=10) for name, share in shares.items())
    assert {"split": "test", "images": 76, "of": 100, "also_in": "train"} in dataset.report["source_leaks"]
    leaves = [
        {path.name.removeprefix(f"{own}_{path.parent.name}_").split("_")[0] for own in ("train", "val", "test")
         for path in (dataset.root / split).glob(f"*/{own}_*")}
        for split in ("train", "val", "test")
    ]  # fmt: skip
    assert leaves[0].isdisjoint(leaves[1] | leaves[2])
    assert leaves[1].isdisjoint(leaves[2])
