"""Classified images that are not as they should be: each kind has its line and its exit code."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from fakes.exports import encoded, picture
from handful_core.cli.main import main
from support.small_leaves import NETWORK

_Run = tuple[int, str, str]


@pytest.fixture
def leaves(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Twelve images of two classes, in folders."""
    monkeypatch.setenv("HANDFUL_HOME", str(tmp_path / "var"))
    for number in range(12):
        put(tmp_path / "leaves" / ("rust" if number % 2 else "healthy") / f"{number}.jpg", number)
    return tmp_path / "leaves"


@pytest.fixture
def table(leaves: Path) -> Path:
    """The same images, listed in a table."""
    rows = [f"{path.relative_to(leaves)},{path.parent.name}" for path in sorted(leaves.rglob("*.jpg"))]
    (leaves / "labels.csv").write_text("\n".join(["image,label", *rows]) + "\n")
    return leaves / "labels.csv"


def put(path: Path, seed: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(encoded(picture(seed)))


def run(root: Path, capsys: pytest.CaptureFixture[str], *words: str, **dataset: Any) -> _Run:
    """A command with a configuration of its own: exit code, stdout, the last line of stderr."""
    source = {"source": "csv" if (root / "labels.csv").exists() else "folder", "path": str(root)}
    content: Mapping[str, Any] = {
        "task": "classify",
        "model": {"architecture": NETWORK},
        "dataset": source | {"name": "leaves", "keep_together": {"near_duplicates": -1}} | dataset,
        "training": {"epochs": 1, "imgsz": 32, "batch": 4, "device": "cpu"},
    }
    config = root.parent / "leaves.yaml"
    config.write_text(yaml.safe_dump(content))
    capsys.readouterr()
    with pytest.raises(SystemExit) as stop:
        main([*words, "--config", str(config), "--json"])
    said = capsys.readouterr()
    assert "Traceback" not in said.err
    # No MLflow runs here, which is said after the work.
    lines = [line for line in said.err.rstrip().split("\n") if "so these images were shared out" not in line]
    return int(stop.value.code or 0), said.out, lines[-1] if lines else ""


PREPARE, TRAIN = ("data", "prepare"), ("train", "--dry-run")


def test_a_wrong_column(table: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, line = run(table.parent, capsys, *PREPARE, csv={"label": "lable"})
    assert (code, out) == (2, "")
    assert line == (
        f"error: dataset.csv.label: {table} has no column 'lable', it has image, label: did you mean label?"
    )


def test_an_empty_class(leaves: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (leaves / "phoma").mkdir()
    code, out, _ = run(leaves, capsys, *PREPARE)
    report = json.loads(out)
    assert (code, report["names"]) == (0, ["healthy", "rust"])
    (folders,) = [account for account in report["accounts"] if account["kind"] == "class folders"]
    assert folders["left_out"] == {"without images": {"count": 1, "first": ["phoma"]}}
    # A configuration that wants the class is another matter.
    classes = ["healthy", "phoma", "rust"]
    code, out, line = run(leaves, capsys, *PREPARE, classes=classes)
    assert (code, line) == (0, "warning: no image shows phoma: the model cannot learn it")
    code, out, line = run(leaves, capsys, *TRAIN, classes=classes)
    assert (code, out) == (2, "")
    assert line == "error: no training image shows phoma: add some, or leave the class out of dataset.classes"


@pytest.mark.parametrize("words", [PREPARE, TRAIN])
def test_one_class_only(leaves: Path, words: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    for path in (leaves / "rust").iterdir():
        path.unlink()
    code, out, line = run(leaves, capsys, *words)
    assert (code, out) == (3, "")
    assert line == (
        "error: all 6 labelled images show healthy: a classifier tells two classes apart, or more: "
        "add images of another class, even if it is only called other"
    )


def test_a_class_with_one_image(leaves: Path, capsys: pytest.CaptureFixture[str]) -> None:
    put(leaves / "miner" / "1.jpg", 60)
    code, _, line = run(leaves, capsys, *PREPARE)
    assert (code, line) == (0, "warning: a class needs an image in each of train, val and test: miner has 1")
    code, out, line = run(leaves, capsys, *TRAIN)
    assert (code, out) == (2, "")
    assert line == (
        "error: miner has one image, which cannot be in train, val and test: add images of it, or leave it out: "
        "of dataset.classes, with dataset.unknown_labels: drop"
    )
    without = {"classes": ["healthy", "rust"], "unknown_labels": "drop"}
    code, out, _ = run(leaves, capsys, *TRAIN, **without)
    assert (code, json.loads(out)["train_images"]) == (0, 8)


@pytest.mark.parametrize("words", [PREPARE, TRAIN])
def test_a_label_in_no_class(leaves: Path, words: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    put(leaves / "Rust spots" / "1.jpg", 60)
    code, out, line = run(leaves, capsys, *words, classes=["healthy", "rust"])
    assert (code, out) == (3, "")
    assert line.startswith("error: the label 'Rust spots' is not one of the classes healthy, rust (1 labels")


def test_two_labels_for_one_image(table: Path, capsys: pytest.CaptureFixture[str]) -> None:
    table.write_text(table.read_text() + "healthy/0.jpg,rust\n")
    code, out, line = run(table.parent, capsys, *PREPARE)
    assert code == 0
    assert line == (
        "warning: 2 labels were left out because their images have several: a classifier learns one for each"
    )
    report = json.loads(out)
    assert report["usable_images"] == 11
    assert [entry for entry in report["defects"] if entry["problem"] == "label_several_labels"] == [
        {"asset": "healthy_0", "name": "0.jpg", "problem": "label_several_labels", "detail": label}
        for label in ("healthy", "rust")
    ]


def test_a_table_with_a_column_for_each_class(table: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = [f"{number}.jpg,{number % 2},{number % 3 % 2}" for number in range(12)]
    table.write_text("\n".join(["image,rust,miner", *rows]))
    code, out, line = run(table.parent, capsys, *PREPARE)
    assert (code, out) == (3, "")
    assert line == (
        f"error: {table} has a column for each class (rust, miner hold 0 and 1 only), and none of labels: "
        "write a column label with the name of the one class that an image has"
    )


def test_a_table_of_several_labels_for_every_image(table: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = table.read_text().splitlines()[1:]
    both = [f"{row.partition(',')[0]},{label}" for row in rows for label in ("healthy", "rust")]
    table.write_text("\n".join(["image,label", *both]))
    code, out, line = run(table.parent, capsys, *PREPARE)
    assert (code, out) == (3, "")
    assert line == (
        "error: all 12 labelled images have several labels (0.jpg: healthy and rust): a classifier learns one for "
        "each: keep the one that counts, or make one class of those that come together"
    )


@pytest.mark.parametrize(
    ("mode", "suffix", "kind"), [("L", "jpg", "JPEG"), ("RGBA", "png", "PNG"), ("LA", "png", "PNG")]
)
def test_grey_and_transparent_images(
    leaves: Path, mode: str, suffix: str, kind: str, capsys: pytest.CaptureFixture[str]
) -> None:
    for number in range(3):
        (leaves / "rust" / f"odd-{number}.{suffix}").write_bytes(encoded(picture(70 + number).convert(mode), kind))
    code, out, line = run(leaves, capsys, *TRAIN)
    assert code == 0, line
    assert sum(json.loads(out)[f"{split}_images"] for split in ("train", "val")) == 15 - 2
