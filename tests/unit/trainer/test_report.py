from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from fakes.packages import CLASSES, build_package
from fakes.squares import SCENES, write_squares
from handful_core.runtime.model import load_model
from handful_core.vision.detections import Detections
from handful_trainer.dataset.prepared import PreparedDataset
from handful_trainer.dataset.sources.base import captured_id
from handful_trainer.tasks.detection.evaluate import Evaluation, Sample, evaluate
from handful_trainer.tasks.detection.report import Mistakes, find_mistakes, write_gallery

HERE, THERE = (10.0, 10.0, 30.0, 30.0), (40.0, 40.0, 60.0, 60.0)
Boxes = list[tuple[tuple[float, float, float, float], str, float]]


@pytest.fixture
def evaluation(tmp_path: Path) -> Evaluation:
    dataset = PreparedDataset.open(write_squares(tmp_path / "squares"))
    return evaluate(load_model(build_package(tmp_path / "package"), threads=1), dataset, "test")


def _boxes(rows: Boxes) -> Detections:
    return Detections(
        np.array([box for box, _, _ in rows], np.float32).reshape(-1, 4),
        np.array([score for _, _, score in rows], np.float32),
        np.array([CLASSES.index(name) for _, name, _ in rows], np.int64),
    )


@pytest.mark.parametrize(
    ("truth", "found", "expected"),
    [
        ([(HERE, "2", 1)], [(HERE, "2", 0.9)], Mistakes(0, 0, 0, 2)),
        ([(HERE, "2", 1)], [], Mistakes(1, 0, 0, 0)),
        ([], [(HERE, "3", 0.9)], Mistakes(0, 1, 0, 3)),
        ([(HERE, "2", 1)], [(HERE, "3", 0.9)], Mistakes(0, 0, 1, 3)),
        ([(HERE, "2", 1)], [(THERE, "2", 0.9)], Mistakes(1, 1, 0, 2)),
        ([(HERE, "2", 1)], [(HERE, "2", 0.9), (HERE, "2", 0.8)], Mistakes(0, 1, 0, 4)),
        ([(HERE, "2", 1)], [(HERE, "2", 0.9), (THERE, "5", 0.01)], Mistakes(0, 0, 0, 2)),
    ],
    ids=["right", "missed", "invented", "of another class", "elsewhere", "found twice", "below the threshold"],
)
def test_mistakes(evaluation: Evaluation, truth: Boxes, found: Boxes, expected: Mistakes) -> None:
    count = sum(int(name) for _, name, _ in truth)
    assert find_mistakes(Sample(Path("image"), _boxes(truth), count, _boxes(found), _boxes([])), evaluation) == expected


def test_the_page_shows_the_worst_first(tmp_path: Path, evaluation: Evaluation) -> None:
    good, bad, *rest = evaluation.samples
    spoiled = Sample(bad.image, bad.truth, bad.count, _boxes([]), bad.proposed)
    changed = _with_samples(evaluation, (good, spoiled, *rest))
    page = write_gallery(changed, tmp_path / "page.html", limit=2).read_text()
    assert "1 of them with a mistake" in page
    assert page.index(f"{bad.image.name}\n") < page.index(f"{good.image.name}\n")
    assert "<b>2 missed</b>" in page
    assert page.count("<figure>") == 2
    assert "The worst 2 are shown." in page
    assert "http" not in page  # It needs nothing beside it.


def _with_samples(evaluation: Evaluation, samples: tuple[Sample, ...]) -> Evaluation:
    return replace(evaluation, samples=samples)


def test_all_is_shown_where_there_is_little(tmp_path: Path, evaluation: Evaluation) -> None:
    page = write_gallery(evaluation, tmp_path / "page.html").read_text()
    assert page.count("<figure>") == len(SCENES)
    assert "are shown." not in page


def test_a_captured_picture_is_judged_and_not_shown(tmp_path: Path, evaluation: Evaluation) -> None:
    first, *rest = evaluation.samples
    captured = replace(first, image=first.image.with_name(f"{captured_id('0a' * 16)}.png"), found=_boxes([]))
    page = write_gallery(_with_samples(evaluation, (captured, *rest)), tmp_path / "page.html").read_text()
    assert page.count("<figure>") == len(SCENES) - 1
    assert "1 of them with a mistake" in page
    assert captured.image.name not in page


def test_the_page_has_a_table_of_classes(tmp_path: Path, evaluation: Evaluation) -> None:
    page = write_gallery(evaluation, tmp_path / "page.html").read_text()
    rows = re.findall(r"<tr><th scope=\"row\">(.+)</th><td>(\d+)</td><td>(\d\.\d{3})</td>", page)
    wanted = [(n, str(v["boxes"]), f"{v['mAP50']:.3f}") for n, v in evaluation.per_class.items()]
    assert rows == wanted != []
