"""From folders and tables of classified images to a dataset in the layout of classifiers."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from fakes.exports import PicselliaExport, encoded, picture, twelve
from handful_core.cli.main import build_app
from handful_core.errors import DataError
from handful_core.vision.decode import decode_image
from handful_trainer.dataset.preparation.prepare import prepare
from handful_trainer.dataset.prepared import PreparedDataset
from handful_trainer.dataset.settings import DatasetConfig


@pytest.fixture
def leaves(tmp_path: Path) -> Path:
    """Ten images of two classes, in folders."""
    for number in range(10):
        put(tmp_path / "leaves", f"{'rust' if number % 2 else 'healthy'}/{number}.jpg", number)
    return tmp_path / "leaves"


def put(root: Path, name: str, seed: int, content: bytes | None = None) -> None:
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content or encoded(picture(seed)))


def made(root: Path, home: Path, *, task: str = "classify", **settings: Any) -> PreparedDataset:
    config = DatasetConfig.model_validate({"source": "folder", "path": root, **settings})
    return prepare(config, home, task=task)


def places(dataset: PreparedDataset) -> dict[str, str]:
    """Split and class by image."""
    return {path.stem.rpartition("_")[2]: f"{path.parts[-3]}/{path.parts[-2]}" for path in dataset.root.glob("*/*/*.*")}


def test_a_folder_for_each_split_and_class(leaves: Path, tmp_path: Path) -> None:
    dataset = made(leaves, tmp_path / "var", split={"train": 0.6, "val": 0.2, "test": 0.2})
    assert dataset.split_sizes == {"train": 6, "val": 2, "test": 2}
    assert (dataset.classes, dataset.task.name) == (("healthy", "rust"), "classify")
    assert {image: place.partition("/")[2] for image, place in places(dataset).items()} == {
        str(number): "rust" if number % 2 else "healthy" for number in range(10)
    }
    assert dataset.report["labels_per_class"] == {"healthy": 5, "rust": 5}
    again = made(leaves, tmp_path / "var", split={"train": 0.6, "val": 0.2, "test": 0.2})
    assert again.root == dataset.root
    page = (dataset.root / "report.html").read_text()
    assert "images without a label" in page
    assert "counts as" not in page


def test_a_prepared_folder_is_a_source_itself(leaves: Path, tmp_path: Path) -> None:
    first = made(leaves, tmp_path / "var")
    second = made(first.root, tmp_path / "var", name="again")
    assert places(second) == places(first)
    assert second.classes == first.classes


def test_images_stay_in_their_split_when_others_come(leaves: Path, tmp_path: Path) -> None:
    before = places(made(leaves, tmp_path / "var"))
    for number in range(10, 40):
        put(leaves, f"{'rust' if number % 2 else 'healthy'}/{number}.jpg", number)
    after = places(made(leaves, tmp_path / "var"))
    assert {image: after[image] for image in before} == before
    assert len(after) == 40


CROPS = {
    "train": ["1_a", "1_b", "2_a", "2_b", "3_a", "4_a", "5_a", "5_b"],
    "val": ["6_a", "6_b"],
    "test": ["1_c", "2_c", "7_a", "7_b"],
}
"""Crops of seven leaves, two of which are in train and test."""
BY_LEAF = {"pattern": r"^(\d+)_"}


@pytest.fixture
def crops(tmp_path: Path) -> Path:
    names = [(split, name) for split, found in CROPS.items() for name in found]
    for seed, (split, name) in enumerate(names):
        put(tmp_path / "crops", f"{split}/{'rust' if seed % 2 else 'healthy'}/{name}.jpg", seed)
    return tmp_path / "crops"


def splits_by_leaf(dataset: PreparedDataset) -> list[set[str]]:
    return [{path.parts[-3] for path in dataset.root.glob(f"*/*/*_{leaf}_?.jpg")} for leaf in range(1, 8)]


def test_groups_of_a_pattern_are_in_one_split_and_leaks_of_given_splits_are_told(crops: Path, tmp_path: Path) -> None:
    dataset = made(crops, tmp_path / "var", keep_together=BY_LEAF)
    assert dataset.report["source_leaks"] == [{"split": "test", "images": 2, "of": 4, "also_in": "train"}]
    assert (
        "2 of the 4 images in the source's test are of a group that its train has, too: "
        "such a group is now whole in test"
    ) in dataset.report["warnings"]
    assert splits_by_leaf(dataset) == [{"test"}, {"test"}, {"train"}, {"train"}, {"train"}, {"val"}, {"test"}]
    assert dataset.report["pairs_across_splits"] == 0
    assert dataset.report["groups"] == 7
    assert "source_splits_ignored" not in dataset.report


def test_splits_of_a_source_can_be_ignored(crops: Path, tmp_path: Path) -> None:
    shares = {"train": 0.5, "val": 0.25, "test": 0.25}
    kept = made(crops, tmp_path / "var", keep_together=BY_LEAF, split=shares)
    anew = made(crops, tmp_path / "var", keep_together=BY_LEAF, split=shares | {"source": "ignore"})
    assert kept.split_sizes == {"train": 4, "val": 2, "test": 8}
    assert anew.split_sizes == {"train": 6, "val": 4, "test": 4}, "seven leaves of one to three crops"
    assert all(len(found) == 1 for found in splits_by_leaf(anew))
    report, page = anew.report, (anew.root / "report.html").read_text()
    assert report["source_splits_ignored"] == 14
    assert "images whose split in the source is ignored" in page
    assert report["source_leaks"] == [{"split": "test", "images": 2, "of": 4, "also_in": "train"}]
    assert (
        "2 of the 4 images in the source's test are of a group that its train has, too: such a group is shared out "
        "as one"
    ) in report["warnings"]
    assert made(crops, tmp_path / "var", keep_together=BY_LEAF, split=shares).root == kept.root, "each has its history"
    again = made(crops, tmp_path / "var", keep_together=BY_LEAF, split=shares | {"source": "ignore"}, name="other")
    assert (again.fingerprint, places(again)) == (anew.fingerprint, places(anew))
    # As the same images in folders without splits.
    for path in sorted(crops.glob("*/*/*.jpg")):
        put(tmp_path / "flat", f"{path.parts[-2]}/{path.parts[-3]}_{path.name}", 0, path.read_bytes())
    flat = made(tmp_path / "flat", tmp_path / "var", keep_together={"pattern": r"_(\d+)_"}, split=shares)
    assert sorted(flat.split_sizes.values()) == sorted(anew.split_sizes.values())


def test_a_column_of_splits_that_is_ignored_may_hold_any_words(tmp_path: Path) -> None:
    rows = ["image,label,split"]
    for number in range(10):
        put(tmp_path / "set", f"{number}.jpg", number)
        rows.append(f"{number},{'rust' if number % 2 else 'healthy'},{'fold 1' if number == 9 else 'train'}")
    (tmp_path / "set" / "labels.csv").write_text("\n".join(rows))
    with pytest.raises(DataError, match=r"line 11: 'fold 1' is no split"):
        made(tmp_path / "set", tmp_path / "var", source="csv")
    dataset = made(tmp_path / "set", tmp_path / "var", source="csv", split={"source": "ignore"})
    assert dataset.split_sizes == {"train": 6, "val": 2, "test": 2}, "one of each class at least"
    assert dataset.report["source_splits_ignored"] == 9


def test_groups_of_a_table_are_in_one_split(tmp_path: Path) -> None:
    rows = ["image,label,plant"]
    for number in range(24):
        put(tmp_path / "set", f"photos/{number}.jpg", number)
        rows.append(f"{number}.jpg,{'rust' if number % 2 else 'healthy'},plant {number // 4}")
    (tmp_path / "set" / "labels.csv").write_text("\n".join(rows))
    config = {"source": "csv", "csv": {"group": "plant"}}
    dataset = made(tmp_path / "set", tmp_path / "var", **config)
    found = places(dataset)
    assert all(len({found[str(n)].partition("/")[0] for n in range(p * 4, p * 4 + 4)}) == 1 for p in range(6))
    assert dataset.report["groups"] == 6
    assert dataset.name == "set"
    other = made(tmp_path / "set", tmp_path / "var", source="csv", csv={"label": "label"})
    assert other.fingerprint != dataset.fingerprint


def test_grey_alpha_and_palette_images_are_taken_as_they_are(leaves: Path, tmp_path: Path) -> None:
    colour = picture(50)
    alpha = colour.convert("RGBA")
    alpha.putalpha(Image.fromarray(np.full((48, 64), 128, np.uint8)))
    odd: Mapping[str, bytes] = {
        "grey.jpg": encoded(colour.convert("L")),
        "grey.png": encoded(picture(51).convert("L"), "PNG"),
        "alpha.png": encoded(alpha, "PNG"),
        "palette.png": encoded(picture(52).convert("P"), "PNG"),
        "bits.png": encoded(picture(53).convert("1"), "PNG"),
    }
    for name, content in odd.items():
        put(leaves, f"rust/{name}", 0, content)
    dataset = made(leaves, tmp_path / "var", keep_together={"near_duplicates": -1})
    assert dataset.report["undecodable"] == 0
    for name, content in odd.items():
        (path,) = dataset.root.glob(f"*/rust/rust_{Path(name).stem}*{Path(name).suffix}")
        assert np.array_equal(decode_image(path.read_bytes()), decode_image(content))


def test_one_class_alone_is_refused(leaves: Path, tmp_path: Path) -> None:
    for path in (leaves / "rust").iterdir():
        path.unlink()
    with pytest.raises(DataError, match="all 5 labelled images show healthy: a classifier tells two classes apart"):
        made(leaves, tmp_path / "var")
    with pytest.raises(DataError, match="all 5 labelled images show healthy"):
        made(leaves, tmp_path / "var", classes=["healthy", "rust"])


def test_one_class_alone_is_refused_beside_images_with_several_labels(leaves: Path, tmp_path: Path) -> None:
    names = [path.relative_to(leaves).as_posix() for path in sorted(leaves.glob("*/*"))]
    rows = [f"{name},healthy" for name in names[1:]] + [f"{names[0]},healthy", f"{names[0]},rust"]
    (leaves / "labels.csv").write_text("\n".join(["image,label", *rows, ""]))
    with pytest.raises(DataError, match=f"all {len(rows) - 2} labelled images show healthy"):
        made(leaves, tmp_path / "var", source="csv")


def test_a_class_with_one_image_and_one_of_a_configuration_without_any_are_told(leaves: Path, tmp_path: Path) -> None:
    put(leaves, "miner/1.jpg", 60)
    warnings = made(leaves, tmp_path / "var", classes=["healthy", "rust", "miner", "phoma"]).report["warnings"]
    assert "a class needs an image in each of train, val and test: miner has 1" in warnings
    assert "no image shows phoma: the model cannot learn it" in warnings


def test_a_label_in_no_class_is_refused_or_left_out(leaves: Path, tmp_path: Path) -> None:
    put(leaves, "Rust spots/1.jpg", 60)
    with pytest.raises(DataError, match=r"the label 'Rust spots' is not one of the classes healthy, rust \(1 labels"):
        made(leaves, tmp_path / "var", classes=["healthy", "rust"])
    dataset = made(leaves, tmp_path / "var", classes=["healthy", "rust"], unknown_labels="drop")
    assert dataset.report["labels_dropped"] == {"unknown_label": 1, "several_labels": 0}
    assert sum(dataset.split_sizes.values()) == 10


def test_one_image_in_two_classes_is_told(leaves: Path, tmp_path: Path) -> None:
    put(leaves, "rust/copy.jpg", 0)  # As healthy/0.jpg.
    dataset = made(leaves, tmp_path / "var")
    assert (
        "1 identical images carry different labels (healthy_0, rust_copy): only one of them can be right"
        in dataset.report["warnings"]
    )


def test_an_image_with_several_labels_is_left_out_and_told(tmp_path: Path) -> None:
    rows = ["image,label"]
    for number in range(10):
        put(tmp_path / "set", f"{number}.jpg", number)
        rows.append(f"{number},{'rust' if number % 2 else 'healthy'}")
    rows[-1] = "9,rust healthy"
    (tmp_path / "set" / "labels.csv").write_text("\n".join(rows))
    dataset = made(tmp_path / "set", tmp_path / "var", source="csv")
    assert dataset.report["usable_images"] == 9
    assert dataset.report["unlabelled"] == 1
    assert (
        "2 labels were left out because their images have several: a classifier learns one for each"
        in dataset.report["warnings"]
    )
    accounts = {account["kind"]: account for account in dataset.report["accounts"]}
    assert accounts["images"]["left_out"] == {"unlabelled": {"count": 1, "first": ["9"]}}


def test_labels_of_another_task_are_named(leaves: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no image of the source has boxes: .* set task: classify"):
        made(leaves, tmp_path / "var", task="detect")
    twelve(tmp_path / "boxes")
    with pytest.raises(DataError, match=r"no image of the source has labels: .* set task: detect"):
        made(tmp_path / "boxes", tmp_path / "var", source="picsellia-export")


def classified(folder: Path, kind: str) -> Path:
    """A pulled version with a classification for each image."""
    export = PicselliaExport(folder)
    for number in range(9):
        export.add(f"asset-{number}")
        export.annotations[f"asset-{number}"][0]["classifications"] = [{"label": "rust" if number % 2 else "ok"}]
    export.write()
    source = {"labels": ["ok", "rust"], "version": {"name": "v1", "type": kind}}
    (folder / "source.json").write_text(json.dumps(source))
    return folder


def test_classifications_of_picsellia(tmp_path: Path) -> None:
    dataset = made(classified(tmp_path / "pulled", "CLASSIFICATION"), tmp_path / "var", source="picsellia-export")
    assert dataset.report["labels_per_class"] == {"ok": 5, "rust": 4}
    assert not [warning for warning in dataset.report["warnings"] if "task" in warning]


def test_the_type_of_a_version_is_looked_at(tmp_path: Path) -> None:
    odd = made(classified(tmp_path / "odd", "OBJECT_DETECTION"), tmp_path / "var", source="picsellia-export")
    assert "the source was made for the task detect: see that all images have labels" in odd.report["warnings"]
    with pytest.raises(DataError, match="it is made for the task classify, and has labels"):
        made(
            classified(tmp_path / "right", "CLASSIFICATION"), tmp_path / "var", source="picsellia-export", task="detect"
        )
    empty = classified(tmp_path / "empty", "InferenceType.CLASSIFICATION")
    (empty / "annotations.json").write_text("{}")
    with pytest.raises(DataError, match="it is made for the task classify"):
        made(empty, tmp_path / "var", source="picsellia-export", task="detect")


def test_what_changed_is_told_even_if_a_file_moved_to_another_class(leaves: Path, tmp_path: Path) -> None:
    first = made(leaves, tmp_path / "var")
    (leaves / "rust" / "1.jpg").rename(leaves / "healthy" / "1.jpg")
    (leaves / "rust" / "3.jpg").unlink()
    put(leaves, "miner/20.jpg", 20)
    put(leaves, "miner/21.jpg", 21)
    second = made(leaves, tmp_path / "var")
    shown = CliRunner().invoke(build_app(), ["data", "diff", str(first.root), str(second.root), "--json"])
    found = json.loads(shown.stdout)
    assert found["relabelled"] == {"healthy_1": "rust → healthy"}
    assert (found["added"], found["removed"]) == (["miner_20", "miner_21"], ["rust_3"])
    assert (found["classes_added"], found["classes_removed"], found["moved"]) == (["miner"], [], {})
    assert found["unchanged"] == 8


def test_splits_that_leave_nothing_to_train_on_are_refused(leaves: Path, tmp_path: Path) -> None:
    for split in ("train2017", "val2017"):
        for number in range(6):
            put(tmp_path / "twice", f"{split}/{'rust' if number % 2 else 'healthy'}/{number}.jpg", number)
    with pytest.raises(DataError, match=r"no image is left for train: .* puts the same ones into other splits too"):
        made(tmp_path / "twice", tmp_path / "var")
