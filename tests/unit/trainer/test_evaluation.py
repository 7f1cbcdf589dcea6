from pathlib import Path

import numpy as np
import pytest

from fakes.packages import CLASSES, DETECTORS, build_package
from fakes.squares import SCENES, write_squares
from handful_core.errors import DataError
from handful_core.package import Thresholds
from handful_core.runtime.model import VisionModel, load_model
from handful_core.vision.detections import Detections
from handful_trainer.dataset.prepared import PreparedDataset
from handful_trainer.tasks.detection.evaluate import Sample, best_confidence, collect, evaluate
from handful_trainer.tasks.detection.report import write_evaluation


@pytest.fixture
def dataset(tmp_path: Path) -> PreparedDataset:
    return PreparedDataset.open(write_squares(tmp_path / "squares"))


@pytest.fixture
def model(tmp_path: Path) -> VisionModel:
    return load_model(build_package(tmp_path / "package"), threads=1)


@pytest.mark.parametrize("head", DETECTORS)
def test_a_model_that_is_right_scores_full_marks(tmp_path: Path, dataset: PreparedDataset, head: str) -> None:
    result = evaluate(load_model(build_package(tmp_path / "package", head), threads=1), dataset, "test")
    assert result.images == len(SCENES)
    assert result.boxes == sum(len(scene) for scene in SCENES)
    assert result.mAP50 == pytest.approx(0.995, abs=0.001)  # The area under Ultralytics' interpolated curve.
    assert result.mAP50_95 == pytest.approx(0.995, abs=0.001)
    assert result.count_accuracy == 1
    assert set(result.per_class) == set(CLASSES)
    assert np.array_equal(np.diag(result.confusion)[:7], [1, 1, 1, 1, 2, 1, 1])
    assert result.confusion.sum() == 8


def test_mistakes_cost_what_they_should(tmp_path: Path, model: VisionModel) -> None:
    folder = write_squares(tmp_path / "wrong")
    label = folder / "labels" / "test" / "0.txt"
    label.write_text("2" + label.read_text()[1:])  # The truth says 2, the model sees 1.
    result = evaluate(model, PreparedDataset.open(folder), "test")
    assert result.count_accuracy == pytest.approx(5 / 6)
    assert result.confusion[1, 2] == 1
    # Class 1 has no true box left and class 2 lost one of two: recall of class 2 is a half.
    assert result.per_class["2"]["recall"] == pytest.approx(0.5)
    assert "1" not in result.per_class
    assert result.mAP50 < 0.95


def test_class_names_tie_model_and_dataset_together(tmp_path: Path, model: VisionModel) -> None:
    """The same classes in another order, and one that the model does not know."""
    order = ("5", "4", "3", "2", "1", "0", "unknown")
    folder = write_squares(tmp_path / "other", [{(1, 1): "5"}], CLASSES)
    data = folder / "data.yaml"
    data.write_text(data.read_text().replace("'5'", "'six'"))
    result = evaluate(model, PreparedDataset.open(folder), "test")
    assert list(result.per_class) == ["class 7 (unknown to the model)"]
    assert result.mAP50 == 0
    reordered = evaluate(
        load_model(build_package(tmp_path / "package2"), threads=1),
        PreparedDataset.open(_renamed(write_squares(tmp_path / "third"), order)),
        "test",
    )
    assert reordered.mAP50 < 0.5  # Names, not places, are compared: the squares' colours now mean other classes.


def _renamed(folder: Path, names: tuple[str, ...]) -> Path:
    import yaml

    data = yaml.safe_load((folder / "data.yaml").read_text())
    (folder / "data.yaml").write_text(yaml.safe_dump(data | {"names": dict(enumerate(names))}))
    return folder


def test_a_dataset_without_any_class_of_the_model_is_refused(tmp_path: Path, model: VisionModel) -> None:
    folder = _renamed(write_squares(tmp_path / "leaves"), ("oak", "elm", "ash", "fir", "yew", "box", "ivy"))
    with pytest.raises(DataError, match="the model knows 0, 1"):
        evaluate(model, PreparedDataset.open(folder), "test")


def test_images_without_boxes_are_no_mistake(tmp_path: Path, model: VisionModel) -> None:
    result = evaluate(model, PreparedDataset.open(write_squares(tmp_path / "empty", [{}])), "test")
    assert (result.mAP50, result.boxes, result.count_accuracy) == (0.0, 0, 1.0)


def test_the_threshold_that_counts_best_is_found(tmp_path: Path, dataset: PreparedDataset) -> None:
    package = build_package(
        tmp_path / "unsure", sharpness=1.0, golden=False, thresholds=Thresholds(confidence=0.9)
    )  # Squares score 0.62, the background at most 0.38.
    model = load_model(package, threads=1)
    assert evaluate(model, dataset, "test").count_accuracy == pytest.approx(2 / 6)  # The scenes that count nothing.
    assert best_confidence(collect(model, dataset, "val"), model) == pytest.approx(0.5, abs=0.051)


def test_a_weak_model_is_not_told_to_find_nothing(model: VisionModel) -> None:
    """Finding nothing counts right wherever nothing counts; that alone is no reason to find nothing."""
    fists = [_sample({"0": 1.0}, {"0": 0.5}) for _ in range(6)]
    wrong = [_sample({}, {"1": 0.6}) for _ in range(4)]
    assert best_confidence([*fists, *wrong], model) <= 0.5


def _sample(truth: dict[str, float], found: dict[str, float]) -> Sample:
    """An image with a box at one place for each class, with its score."""

    def boxes(named: dict[str, float]) -> Detections:
        return Detections(
            np.tile(np.array([[10, 10, 30, 30]], np.float32), (len(named), 1)),
            np.array(list(named.values()), np.float32),
            np.array([CLASSES.index(name) for name in named], np.int64),
        )

    return Sample(Path("image"), boxes(truth), sum(map(int, truth)), boxes(found), boxes({}))


class TwoOnOne:
    """Runs no graph: sees a 2 at every picture's first square, and less surely a 3."""

    backend = "none"

    def run(self, tensor: np.ndarray) -> np.ndarray:
        boxes = [[12.0, 12.0], [12.0, 12.0], [8.0, 8.0], [8.0, 8.0]]
        scores = [[0.9 * (c == 2), 0.6 * (c == 3)] for c in range(len(CLASSES))]
        return np.float32([boxes + scores])


@pytest.mark.parametrize(("class_agnostic", "right"), [(False, 0), (True, 1)])
def test_counts_are_of_what_is_served_and_average_precision_is_of_all_that_is_proposed(
    tmp_path: Path, class_agnostic: bool, right: float
) -> None:
    package = build_package(tmp_path / "package", thresholds=Thresholds(class_agnostic=class_agnostic))
    dataset = PreparedDataset.open(write_squares(tmp_path / "one", [{(1, 1): "2"}]))
    result = evaluate(VisionModel(package, TwoOnOne()), dataset, "test")
    assert result.count_accuracy == right
    assert result.confusion.sum() == 2 - right
    assert result.mAP50 == pytest.approx(0.995, abs=0.001)
    assert [len(sample.proposed) for sample in result.samples] == [2]


def test_a_classifier_is_not_measured_by_its_boxes(tmp_path: Path, dataset: PreparedDataset) -> None:
    model = load_model(build_package(tmp_path / "package", "logits"), threads=1)
    with pytest.raises(DataError, match="the model's task is classify, the dataset has boxes"):
        evaluate(model, dataset, "test")


def test_files_and_pictures_are_written(tmp_path: Path, model: VisionModel, dataset: PreparedDataset) -> None:
    folder = write_evaluation(evaluate(model, dataset, "test"), tmp_path / "evaluation")
    names = {path.name for path in folder.iterdir()}
    assert {
        "metrics.json",
        "confusion_matrix.png",
        "confusion_matrix_normalized.png",
        "PR_curve.png",
        "F1_curve.png",
    } <= {name.removeprefix("Box") for name in names}
