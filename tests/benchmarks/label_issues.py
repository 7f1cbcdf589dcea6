"""Of the labels that `handful data label-issues` shows first, how many are really wrong.

    python tests/benchmarks/label_issues.py [--data ../shared/data] [--package PACKAGE] [--seeds 3] [--json]

Faults are put into labels that are taken to be right: 5 % of the classes of `beans-field` become another class, and 5 %
of the boxes of `fingers-1500` are dropped, moved, given another class, or added where nothing is. Then as many issues
are looked at as there are faults, the most suspicious first: their precision is the figure.

Classes are judged out of fold, by features of ImageNet. Boxes are judged by the starter model of fingers, unless a
package is named. It was trained on the right labels of most of these images: for labels that nobody has, expect less.
`boxes_unseen` is the same on `fingers-315`, which it never saw. `office` is what is found in `fingers-office-1000`,
whose own labels have faults: how many issues of each kind have a score of 0.5.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
import time
import zipfile
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from handful_core.package import open_package
from handful_core.package.archive import read_folder
from handful_core.runtime.model import VisionModel, load_model
from handful_core.vision.detections import Detections, box_iou
from handful_trainer.dataset.label_issues.issue import FoundIssues, LabelIssue
from handful_trainer.dataset.preparation.prepare import prepare
from handful_trainer.dataset.settings import DatasetConfig
from handful_trainer.tasks.classification import label_issues as by_class
from handful_trainer.tasks.detection.label_issues import Answered, Drawing, answers_of, issues_of

ROOT = Path(__file__).parents[2]
SHARE = 0.05
FINGERS = ("0", "1", "2", "3", "4", "5", "unknown")
KINDS = ("dropped", "moved", "class changed", "added")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=ROOT.parent / "shared" / "data")
    parser.add_argument("--package", type=Path, help="of a detector of fingers; the starter's if not given")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--only", choices=("classes", "boxes"))
    parser.add_argument("--json", action="store_true")
    words = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="handful-benchmark-") as name:
        result = measure(words.data, Path(name), words.seeds, words.only, words.package)
    print(json.dumps(result, indent=2) if words.json else result)


def measure(data: Path, home: Path, seeds: int, only: str | None = None, package: Path | None = None) -> dict[str, Any]:
    """All figures, or those of classes or boxes alone."""
    result: dict[str, Any] = {"label_issues_precision": {}}
    if only != "boxes":
        result["classes"] = classes(data, home, seeds)
        result["label_issues_precision"]["classes"] = result["classes"]["precision"]
    if only != "classes":
        model = detector(package, home)
        result["boxes"] = boxes("fingers-1500", data, home, seeds, model)
        result["boxes_unseen"] = boxes("fingers-315", data, home, seeds, model)
        result["office"] = office(data, home, model)
        result["label_issues_precision"]["boxes"] = result["boxes"]["precision"]
    return result


def classes(data: Path, home: Path, seeds: int) -> dict[str, Any]:
    """Precision of classes."""
    began = time.process_time()
    config = DatasetConfig.model_validate({"source": "folder", "path": data / "beans-field"})
    dataset = prepare(config, home, task="classify")
    samples = by_class.samples_of(dataset)
    paths = [path for path, _, _ in samples]
    rows, groups = by_class.rows_of(by_class.imagenet_features(), paths), by_class.groups_of(paths, dataset)
    truth = np.asarray([label for _, _, label in samples])
    found = []
    for seed in range(seeds):
        chance = np.random.default_rng(seed)
        wrong = chance.choice(len(truth), round(SHARE * len(truth)), replace=False)
        labels = truth.copy()
        labels[wrong] = (labels[wrong] + chance.integers(1, len(dataset.classes), len(wrong))) % len(dataset.classes)
        scores = by_class.doubts(by_class.out_of_fold_probabilities(rows, labels, groups), labels)
        found.append(float(np.isin(np.argsort(-scores, kind="stable")[: len(wrong)], wrong).mean()))
    return _result(found, len(truth), len(wrong), began)


def boxes(name: str, data: Path, home: Path, seeds: int, model: VisionModel) -> dict[str, Any]:
    """Precision of boxes, and of which kind what is found is."""
    began, answered = time.process_time(), _answered(name, data, home, model)
    found, kinds = list[float](), Counter[str]()
    for seed in range(seeds):
        faulty, faults = _with_faults(answered, np.random.default_rng(seed))
        shown = _ranked(faulty)[: len(faults)]
        hits = [next((kind for kind, *fault in faults if _means(issue, fault)), None) for issue in shown]
        kinds.update(kind for kind in hits if kind)
        found.append(sum(kind is not None for kind in hits) / len(faults))
    labels = sum(len(each.truth) for each in answered)
    return _result(found, labels, len(faults), began) | {"found_by_kind": {kind: kinds[kind] for kind in KINDS}}


def office(data: Path, home: Path, model: VisionModel) -> dict[str, Any]:
    """What is found in labels that have faults of their own."""
    answered = _answered("fingers-office-1000", data, home, model)
    issues = _ranked(answered)
    kinds = Counter(issue.kind for issue in issues if issue.score >= 0.5)
    return {"labels": sum(len(each.truth) for each in answered), "issues": dict(kinds), "first": [
        f"{issue.kind}: {issue.image.stem}, {issue.score:.2f}" for issue in issues[:10]
    ]}  # fmt: skip


def detector(package: Path | None, home: Path) -> VisionModel:
    """The package that is named, or the starter's out of its backup."""
    if package:
        with open_package(package) as opened:
            return load_model(opened, 1)
    with zipfile.ZipFile(ROOT / "models" / "starter.zip") as backup:
        manifest = next(name for name in backup.namelist() if name.endswith("/package/manifest.json"))
        inside = manifest.removesuffix("manifest.json")
        backup.extractall(home, [name for name in backup.namelist() if name.startswith(inside)])
    return load_model(read_folder(home / inside), 1)


def _answered(name: str, data: Path, home: Path, model: VisionModel) -> list[Answered]:
    config = DatasetConfig.model_validate(
        {"source": "picsellia-export", "path": data / name, "classes": FINGERS, "unknown_labels": "drop"}
    )
    return list(answers_of(model, prepare(config, home)))


def _ranked(answered: Sequence[Answered]) -> list[LabelIssue]:
    drawing = Drawing.of(answered)
    issues = [issue for each in answered for issue in issues_of(each, FINGERS, drawing)]
    return FoundIssues(issues, len(answered), 0, out_of_fold=False).ranked()


Fault = tuple[str, Path, tuple[float, ...], bool]
"""Kind, image, the box in question, and whether it is a label that is there."""


def _with_faults(answered: Sequence[Answered], chance: np.random.Generator) -> tuple[list[Answered], list[Fault]]:
    """The images with 5 % of their boxes wrong, a quarter of them in each way."""
    places = [(image, box) for image, each in enumerate(answered) for box in range(len(each.truth))]
    chosen = chance.choice(len(places), round(SHARE * len(places)), replace=False)
    truth = [
        [(tuple(box), int(c)) for box, c in zip(a.truth.boxes.tolist(), a.truth.classes, strict=True)] for a in answered
    ]
    new: list[list[Any]] = [list(labels) for labels in truth]
    faults: list[Fault] = []
    for number, place in enumerate(chosen):
        image, index = places[place]
        (box, class_id), kind, path = truth[image][index], KINDS[number % len(KINDS)], answered[image].image
        if kind == "dropped":
            new[image][index] = None
            faults.append((kind, path, box, False))
        elif kind == "class changed":
            other = (class_id + int(chance.integers(1, len(FINGERS)))) % len(FINGERS)
            new[image][index] = (box, other)
            faults.append((kind, path, box, True))
        elif kind == "moved":
            new[image][index] = (moved := _moved(box, chance), class_id)
            # The object that has lost its label counts as well.
            faults.append((kind, path, (*moved, *box), True))
        else:
            added = _elsewhere(box, [b for b, _ in truth[image]], chance)
            new[image].append((added, int(chance.integers(len(FINGERS)))))
            faults.append((kind, path, added, True))
    return [_relabelled(a, [one for one in labels if one]) for a, labels in zip(answered, new, strict=True)], faults


def _moved(box: tuple[float, ...], chance: np.random.Generator) -> tuple[float, ...]:
    """By a quarter to a half of its size, at least in one direction."""
    while True:
        x, y = chance.uniform(-0.5, 0.5, 2)
        if max(abs(x), abs(y)) >= 0.25:
            width, height = box[2] - box[0], box[3] - box[1]
            return box[0] + x * width, box[1] + y * height, box[2] + x * width, box[3] + y * height


def _elsewhere(box: tuple[float, ...], others: Sequence[Any], chance: np.random.Generator) -> tuple[float, ...]:
    """A box of this size in a picture of 480 x 360, where no label is; anywhere after 200 attempts."""
    width, height = box[2] - box[0], box[3] - box[1]
    for _ in range(200):
        x, y = chance.uniform(0, max(480 - width, 1)), chance.uniform(0, max(360 - height, 1))
        found = (x, y, x + width, y + height)
        if box_iou(np.asarray([found], np.float32), np.asarray(others, np.float32)).max() < 0.1:
            break
    return found


def _relabelled(answered: Answered, labels: Sequence[Any]) -> Answered:
    boxes_ = np.asarray([box for box, _ in labels], np.float32).reshape(-1, 4)
    class_ids = np.asarray([class_id for _, class_id in labels], np.int64)
    return replace(answered, truth=Detections(boxes_, np.ones(len(labels), np.float32), class_ids))


def _means(issue: LabelIssue, fault: Sequence[Any]) -> bool:
    """Does an issue point at a fault? The label itself; or, where it is missing, an object that overlaps by half."""
    path, sides, is_label = fault
    if issue.image != path:
        return False
    if issue.given and issue.given.box:
        return is_label and np.allclose(issue.given.box, sides[:4], atol=0.01)
    lost = sides[4:] if is_label else sides
    if not lost or issue.proposed is None or issue.proposed.box is None:
        return False
    pair = np.asarray([issue.proposed.box], np.float32), np.asarray([lost], np.float32)
    return bool(box_iou(*pair)[0, 0] >= 0.5)


def _result(found: Sequence[float], labels: int, faults: int, began: float) -> dict[str, Any]:
    print(found, file=sys.stderr, flush=True)
    return {
        "precision": round(statistics.mean(found), 4),
        "by_seed": [round(value, 4) for value in found],
        "labels": labels,
        "faults": faults,
        "cpu_seconds": round(time.process_time() - began, 1),
    }


if __name__ == "__main__":
    main()
