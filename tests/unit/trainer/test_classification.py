"""Folders of classes, and what is taken for one."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from fakes.exports import yolo_folder
from fakes.packages import build_package, encode, filled
from handful_core.errors import DataError, HandfulError
from handful_core.runtime.model import load_model
from handful_trainer.dataset.prepared import PreparedDataset
from handful_trainer.dataset.sources.base import ACCEPTED, RawItem
from handful_trainer.tasks.classification.data.label_format import ClassFormat
from handful_trainer.tasks.classification.data.labels import ClassLabel, clean_class
from handful_trainer.tasks.classification.evaluation.evaluate import evaluate

CLASSES = ("apple", "pear", "plum")


def class_folder(root: Path, images: int = 2, classes: tuple[str, ...] = CLASSES) -> Path:
    for split in ("train", "valid", "test"):
        for name in classes:
            folder = root / split / name
            folder.mkdir(parents=True)
            for number in range(images):
                (folder / f"{number}.png").write_bytes(encode(filled(name, classes)))
    return root


def test_a_folder_of_classes_is_opened_by_its_layout(tmp_path: Path) -> None:
    dataset = PreparedDataset.open(class_folder(tmp_path / "fruit"))
    assert (dataset.task.name, dataset.classes) == ("classify", CLASSES)
    assert dataset.split_sizes == {"train": 6, "val": 6, "test": 6}
    assert [(path.name, class_id) for path, class_id in dataset.split("val")][:3] == [
        ("0.png", 0),
        ("1.png", 0),
        ("0.png", 1),
    ]


def test_a_list_gives_the_classes_another_order(tmp_path: Path) -> None:
    root = class_folder(tmp_path / "fruit")
    (root / "classes.txt").write_text("\ufeffplum\npear\napple\n", encoding="utf-8")
    assert PreparedDataset.open(root).classes == ("plum", "pear", "apple")
    (root / "classes.txt").write_text("plum\n")
    with pytest.raises(DataError, match="does not list apple, pear"):
        PreparedDataset.open(root)
    (root / "classes.txt").write_bytes(b"\xff\xfe\xff")
    with pytest.raises(DataError, match="is not UTF-8 text"):
        PreparedDataset.open(root)


@pytest.mark.parametrize(
    ("data_yaml", "words"),
    [
        (None, "has no data.yaml"),
        ("names: [", "is not valid YAML"),
        ("train: train/images", "has no list of class names"),
    ],
)
def test_a_yolo_folder_whose_data_yaml_is_of_no_use_is_no_folder_of_classes(
    tmp_path: Path, data_yaml: str | None, words: str
) -> None:
    class_folder(tmp_path / "boxes", classes=("images", "labels", "plum"))
    if data_yaml is not None:
        (tmp_path / "boxes" / "data.yaml").write_text(data_yaml)
    with pytest.raises(DataError, match=words):
        PreparedDataset.open(tmp_path / "boxes")


def test_what_lies_beside_a_data_yaml_is_not_in_the_way(tmp_path: Path) -> None:
    root = yolo_folder(tmp_path / "pets", {"train/1.jpg": "0 0.5 0.5 0.2 0.2", "val/2.jpg": ""})
    (root / "gone.yaml").symlink_to(root / "nowhere")
    (root / "folder.yml").mkdir()
    (root / "report.json").write_text(json.dumps({"task": "object-detection", "by": "another tool"}))
    assert PreparedDataset.open(root).task.name == "detect"
    other = tmp_path / "other.yaml"
    other.symlink_to(root / "data.yaml")
    assert PreparedDataset.open(other).root == root.resolve()
    with pytest.raises(HandfulError, match="does not exist"):
        PreparedDataset.open(root / "missing")


@pytest.mark.parametrize(
    "classes",
    [
        ("a/b", "c"),
        ("..", "c"),
        (".hidden", "c"),
        ("@eaDir", "c"),
        ("Dog", "dog"),
        ("leaf rust", "leaf  rust"),
        ("caf\u00e9", "Cafe\u0301"),
    ],
)
def test_classes_that_cannot_be_folders_are_refused_before_anything_is_written(classes: tuple[str, ...]) -> None:
    with pytest.raises(DataError, match="name"):
        ClassFormat().folders(classes)


def test_an_image_has_one_class_or_none() -> None:
    ids = {"cat": 0, "dog": 1}

    def clean(*labels: str) -> tuple[tuple[ClassLabel, ...], list[tuple[str, str]]]:
        found = clean_class(RawItem("1", None, "1", ACCEPTED, labels=labels), ids)
        return found.kept, [(dropped.label, dropped.reason) for dropped in found.dropped]

    assert clean("dog") == ((ClassLabel(1),), [])
    assert clean("dog", "dog", "cow") == ((ClassLabel(1),), [("cow", "unknown_label")])
    assert clean("cat", "dog") == ((), [("cat", "several_labels"), ("dog", "several_labels")])
    assert clean() == ((), [])


def test_right_and_wrong_answers_are_counted_by_class(tmp_path: Path) -> None:
    root = class_folder(tmp_path / "fruit")
    (root / "test" / "pear" / "wrong.png").write_bytes(encode(filled("plum", CLASSES)))
    (root / "test" / "quince").mkdir()
    (root / "test" / "quince" / "1.png").write_bytes(encode(filled("apple", CLASSES)))
    package = build_package(tmp_path / "package", head="logits", classes=CLASSES, counts={})
    found = evaluate(load_model(package), PreparedDataset.open(root), "test")
    assert found.metrics() == pytest.approx({"macro_f1": (0.8 + 0.8 + 0.8 + 0) / 4, "accuracy": 6 / 8})
    assert found.per_class["pear"] == pytest.approx({"labels": 3, "precision": 1, "recall": 2 / 3, "f1": 0.8})
    assert found.per_class["quince"] == {"labels": 1, "precision": 0, "recall": 0, "f1": 0}
    written = json.loads((found.write(tmp_path / "out") / "metrics.json").read_text())
    assert written["confusion"]["classes"] == [*CLASSES, "quince"]
    assert written["images"] == 8


def test_two_datasets_are_compared(tmp_path: Path) -> None:
    def prepared(name: str, *entries: tuple[str, str, str, str]) -> PreparedDataset:
        root = class_folder(tmp_path / name)
        lines = [
            json.dumps({"id": i, "sha256": sha, "image": f"{split}/{label}/{i}.png"})
            for i, sha, split, label in entries
        ]
        (root / "assets.jsonl").write_text("\n".join(lines))
        return PreparedDataset.open(root)

    first = prepared("first", ("1", "a", "train", "apple"), ("2", "b", "train", "pear"), ("3", "c", "test", "plum"))
    second = prepared("second", ("1", "a", "train", "apple"), ("2", "b", "test", "plum"), ("4", "d", "val", "plum"))
    found = ClassFormat().compare(first, second)
    assert (found.added, found.removed, found.unchanged) == (["4"], ["3"], 1)
    assert (found.moved, found.relabelled) == ({"2": "train → test"}, {"2": "pear → plum"})
