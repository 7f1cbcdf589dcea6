"""From wrong labels to a corrected dataset: found, put up for review, accepted, trained on. With a real MLflow."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fakes.packages import CLASSES, build_package, encode, filled
from fakes.squares import write_squares
from handful_core.cli.main import main
from handful_core.review import Review, ReviewStore
from handful_core.vision.decode import decode_image
from handful_trainer.dataset.preparation.prepare import prepare
from handful_trainer.dataset.settings import DatasetConfig

WRONG = ("train/0", "train/2", "test/1")
"""Images of which the label is another class, is missing, and is of nothing."""


@pytest.fixture
def squares(tmp_path: Path) -> Path:
    """A YOLO dataset of squares with three wrong labels."""
    root = write_squares(tmp_path / "squares")
    labels = {name: root / "labels" / f"{name}.txt" for name in WRONG}
    first, rest = labels["train/0"].read_text().split(" ", 1)
    labels["train/0"].write_text(f"{(int(first) + 1) % len(CLASSES)} {rest}")
    labels["train/2"].write_text("")
    labels["test/1"].write_text(labels["test/1"].read_text() + "\n0 0.06 0.94 0.1 0.1\n")
    return root


def run(capsys: pytest.CaptureFixture[str], *words: object, code: int = 0) -> Any:
    """What a command prints."""
    with pytest.raises(SystemExit) as end:
        main([str(word) for word in words])
    printed = capsys.readouterr()
    assert end.value.code == code, printed.err
    return json.loads(printed.out) if code == 0 else " ".join(printed.err.split())


def test_wrong_labels_are_found_reviewed_and_corrected(
    squares: Path, tmp_path: Path, mlflow_server: str, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    monkeypatch.setenv("HANDFUL_MLFLOW_URI", mlflow_server)
    monkeypatch.setenv("HANDFUL_HOME", str(tmp_path / "home"))
    package = build_package(tmp_path / "package", name="label-issues")
    own = {"source": "yolo", "path": str(squares)}
    before = prepare(DatasetConfig.model_validate(own), tmp_path / "home")
    words = ("data", "label-issues", "--data", before.root, "--package", package.root, "--json")
    found = run(capsys, *words, "--output", tmp_path / "out", "--review")
    first = found["issues"][:3]
    assert {issue["kind"] for issue in first} == {"wrong class", "missed", "spurious"}
    assert {Path(issue["image"]).stem.replace("_", "/") for issue in first} == set(WRONG)
    assert found["issues"][3]["score"] < 0.5 < first[2]["score"]
    assert found["out_of_fold"] is False
    assert "nobody knows what the model was trained on" in found["notes"][0]
    page = (tmp_path / "out" / "issues.html").read_text(encoding="utf-8")
    assert page.count("<figure>") == min(len(found["issues"]), 200)
    assert json.loads((tmp_path / "out" / "issues.json").read_text()) == found

    with ReviewStore.at(mlflow_server) as store:
        pictures = store.pictures("label-issues")
        assert {picture.reason for picture in pictures} == {"label issue"}
        likely = [picture for picture in pictures if picture.score >= 0.5]
        assert len(likely) == 3
        for picture in likely:
            review = Review(picture.id, 1, "accepted", datetime.now(UTC), "anna", picture.proposal)
            store.write(review)
        store.delete(next(picture.id for picture in pictures if picture.score < 0.5))
    run(capsys, *words, "--output", tmp_path / "again", "--review")
    with ReviewStore.at(mlflow_server) as store:
        assert len(store.pictures("label-issues")) == len(pictures) - 1, "each once; a deleted one stays deleted"

    both = DatasetConfig.model_validate({"sources": [own, {"source": "reviewed", "model": "label-issues"}]})
    after = prepare(both, tmp_path / "home")
    assert after.split_sizes == before.split_sizes, "corrections move nothing and add nothing"
    assert after.report["reviewed"] == {"train": 2, "val": 0, "test": 1}
    clean = prepare(
        DatasetConfig.model_validate({"source": "yolo", "path": str(write_squares(tmp_path / "right"))}),
        tmp_path / "home",
    )
    for split in ("train", "val", "test"):
        for (path, (boxes, ids)), (other, (right, right_ids)) in zip(
            after.split(split), clean.split(split), strict=True
        ):
            assert path.read_bytes() == other.read_bytes()
            order, right_order = np.lexsort(boxes.T), np.lexsort(right.T)
            assert ids[order].tolist() == right_ids[right_order].tolist(), path
            assert np.allclose(boxes[order], right[right_order], atol=1.5), path


def test_what_does_not_fit_is_refused(squares: Path, tmp_path: Path, capsys: Any) -> None:
    data = ("data", "label-issues", "--data", squares)
    assert "boxes are compared with what a detector sees, and none is named" in run(capsys, *data, code=2)
    assert "reviewed pictures belong to a model, and none is named" in run(capsys, *data, "--review", code=2)
    other = build_package(tmp_path / "other", classes=("cat", "dog"))
    line = run(capsys, *data, "--package", other.root, code=3)
    assert "the model finds cat, dog, the dataset has" in line
    leaf = build_package(tmp_path / "leaf", "logits")
    assert "the model is one for classify" in run(capsys, *data, "--package", leaf.root, code=2)
    assert "gives no embedding" in run(
        capsys, "data", "label-issues", "--data", _colours(tmp_path / "colours"), "--package", leaf.root, code=2
    )


def test_classes_are_judged_by_a_packages_embedding(tmp_path: Path, capsys: Any) -> None:
    package = build_package(tmp_path / "package", "logits", limits=True)
    root = _colours(tmp_path / "colours")
    moved = root / "train" / CLASSES[1] / "3-of-0.png"
    (root / "train" / CLASSES[0] / "3.png").rename(moved)
    found = run(capsys, "data", "label-issues", "--data", root, "--package", package.root, "--json")
    assert found["out_of_fold"] is True
    assert found["issues"][0]["image"] == moved.relative_to(root).as_posix()
    assert (found["issues"][0]["given"]["name"], found["issues"][0]["proposed"]["name"]) == (CLASSES[1], CLASSES[0])
    assert (root / "issues.html").is_file()


def _colours(root: Path) -> Path:
    """Ten images of each of two classes, none like another."""
    chance = np.random.default_rng(0)
    for name in CLASSES[:2]:
        folder = root / "train" / name
        folder.mkdir(parents=True)
        for number in range(10):
            pixels = filled(name).astype(int) + chance.integers(-9, 10, filled(name).shape)
            (folder / f"{number}.png").write_bytes(encode(np.clip(pixels, 0, 255).astype(np.uint8)))
            assert decode_image((folder / f"{number}.png").read_bytes()).size
    return root
