"""What the gate compares, leaves out, and decides."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from fakes.packages import CLASSES, build_package, damage
from fakes.registry import FakeMlflow
from fakes.squares import SCENES, write_squares
from handful_core.package import Package, SeenImages, seen_by, write_package
from handful_core.package.archive import describe_files
from handful_core.registry import CHAMPION, PREVIOUS, Registry
from handful_core.runtime.model import load_model
from handful_trainer.dataset.image_hashes import image_hashes
from handful_trainer.dataset.prepared import PreparedDataset
from handful_trainer.registration import Candidate, GateDecision, pass_gate
from handful_trainer.tasks.detection.evaluate import evaluate
from handful_trainer.tasks.detection.settings import DetectionGate

GOOD = CLASSES
BLIND = tuple(reversed(CLASSES))
"""The names of a model that takes each class for another."""


@pytest.fixture
def mlflow() -> FakeMlflow:
    return FakeMlflow()


@pytest.fixture
def dataset(tmp_path: Path) -> PreparedDataset:
    """36 test images: enough for the gate to decide."""
    return PreparedDataset.open(write_squares(tmp_path / "squares", SCENES * 6))


def package(folder: Path, classes: tuple[str, ...]) -> Package:
    return build_package(folder, classes=classes, golden=False)


def challenge(mlflow: FakeMlflow, dataset: PreparedDataset, challenger: Package, gate: DetectionGate) -> GateDecision:
    registry = Registry("http://mlflow", transport=mlflow.transport())
    version = registry.version("fingers", mlflow.register(challenger))
    evaluation = evaluate(load_model(challenger, threads=1), dataset, "test")
    return pass_gate(registry, Candidate(version, evaluation, seen_by(challenger)), dataset, gate)


def state(mlflow: FakeMlflow) -> tuple[dict[str, int], dict[str, str]]:
    registry = Registry("http://mlflow", transport=mlflow.transport())
    return dict(registry.models()[0].aliases), dict(registry.versions("fingers")[0].tags)


def test_the_first_version_becomes_champion(tmp_path: Path, mlflow: FakeMlflow, dataset: PreparedDataset) -> None:
    decision = challenge(mlflow, dataset, package(tmp_path / "a", GOOD), DetectionGate())
    aliases, tags = state(mlflow)
    assert decision.promoted
    assert aliases == {CHAMPION: 1}
    assert tags["gate.decision"] == "promoted"
    assert float(tags["gate.challenger"]) == pytest.approx(0.995, abs=0.001)


def test_a_better_version_wins_and_the_old_one_is_remembered(
    tmp_path: Path, mlflow: FakeMlflow, dataset: PreparedDataset
) -> None:
    mlflow.register(package(tmp_path / "a", BLIND), aliases=[CHAMPION])
    decision = challenge(mlflow, dataset, package(tmp_path / "b", GOOD), DetectionGate())
    aliases, tags = state(mlflow)
    assert decision.promoted
    assert decision.champion is not None
    assert decision.champion < 0.5
    assert aliases == {CHAMPION: 2, PREVIOUS: 1}
    assert (tags["gate.champion_version"], tags["gate.metric"]) == ("1", "mAP50_95")


def test_a_worse_version_does_not(tmp_path: Path, mlflow: FakeMlflow, dataset: PreparedDataset) -> None:
    mlflow.register(package(tmp_path / "a", GOOD), aliases=[CHAMPION])
    decision = challenge(mlflow, dataset, package(tmp_path / "b", BLIND), DetectionGate())
    aliases, tags = state(mlflow)
    assert not decision.promoted
    assert aliases == {CHAMPION: 1}
    assert tags["gate.decision"] == "kept"


@pytest.mark.parametrize("margin", [0.0, 0.005])
def test_as_good_is_not_better(tmp_path: Path, mlflow: FakeMlflow, dataset: PreparedDataset, margin: float) -> None:
    mlflow.register(package(tmp_path / "a", GOOD), aliases=[CHAMPION])
    assert not challenge(mlflow, dataset, package(tmp_path / "b", GOOD), DetectionGate(margin=margin)).promoted


def test_a_champion_that_cannot_run_loses(tmp_path: Path, mlflow: FakeMlflow, dataset: PreparedDataset) -> None:
    broken = package(tmp_path / "a", GOOD)
    damage(broken.root, "hash")
    mlflow.register(broken.root, aliases=[CHAMPION])
    decision = challenge(mlflow, dataset, package(tmp_path / "b", GOOD), DetectionGate())
    assert decision.promoted
    assert "champion 1 cannot be compared" in decision.reason


def test_a_champion_that_knows_none_of_the_classes_stays(
    tmp_path: Path, mlflow: FakeMlflow, dataset: PreparedDataset
) -> None:
    mlflow.register(package(tmp_path / "a", tuple(f"other {name}" for name in CLASSES)), aliases=[CHAMPION])
    decision = challenge(mlflow, dataset, package(tmp_path / "b", GOOD), DetectionGate())
    aliases, tags = state(mlflow)
    assert (decision.decision, aliases, tags["gate.decision"]) == ("undecided", {CHAMPION: 1}, "undecided")
    assert "champion 1 cannot be compared: the model knows other 0, " in decision.reason
    assert decision.reason.endswith("promote by hand: handful promote fingers 2")


def test_another_metric_can_decide(tmp_path: Path, mlflow: FakeMlflow, dataset: PreparedDataset) -> None:
    mlflow.register(package(tmp_path / "a", BLIND), aliases=[CHAMPION])
    decision = challenge(mlflow, dataset, package(tmp_path / "b", GOOD), DetectionGate(metric="count_accuracy"))
    assert (decision.metric, decision.challenger) == ("count_accuracy", 1.0)


def listing(package: Package, seen: SeenImages) -> Package:
    """The package, with a list of seen images."""
    update = {"seen": seen.write(package.root), "files": describe_files(package.root)}
    return write_package(package.root, package.manifest.model_copy(update=update))


def first(dataset: PreparedDataset, images: int, phash_only: bool = False) -> SeenImages:
    """So many of the test images, as a list: by their files, or by what they look like alone."""
    hashes = list(image_hashes(dataset, "test").values())[:images]
    return SeenImages({f"{i:064x}" if phash_only else h.sha256: h.phash for i, h in enumerate(hashes)})


@pytest.fixture
def apart(tmp_path: Path) -> PreparedDataset:
    """32 test images that are all different: a square of its own in each."""
    scenes = [{(column, row): str((column + row) % 6)} for column in range(8) for row in range(4)]
    return PreparedDataset.open(write_squares(tmp_path / "apart", scenes))


def test_what_the_champion_has_seen_is_left_out(tmp_path: Path, mlflow: FakeMlflow, apart: PreparedDataset) -> None:
    seen = listing(package(tmp_path / "a", BLIND), first(apart, 12))
    mlflow.register(seen, aliases=[CHAMPION])
    challenger = listing(package(tmp_path / "b", GOOD), SeenImages())
    decision = challenge(mlflow, apart, challenger, DetectionGate(min_images=10))
    aliases, tags = state(mlflow)
    assert decision.promoted
    assert decision.images is not None
    assert not decision.images.paths & set(list(image_hashes(apart, "test"))[:12])
    left_out = json.loads(tags["gate.left_out"])
    assert int(tags["gate.compared"]) + sum(left_out.values()) == 32
    assert left_out["champion"] == 12
    assert decision.reason.startswith("mAP50_95 0.9950 is better than champion 1's 0.3")
    assert "20 of 32 test images are new to both (12 that champion 1 has seen left out)" in decision.reason
    assert "known" not in decision.reason, "both lists are complete"
    assert aliases == {CHAMPION: 2, PREVIOUS: 1}


def test_with_too_few_nothing_is_decided(tmp_path: Path, mlflow: FakeMlflow, apart: PreparedDataset) -> None:
    mlflow.register(listing(package(tmp_path / "a", BLIND), first(apart, 3)), aliases=[CHAMPION])
    challenger = listing(package(tmp_path / "b", GOOD), SeenImages())
    decision = challenge(mlflow, apart, challenger, DetectionGate())
    aliases, tags = state(mlflow)
    assert decision.decision == "undecided"
    assert not decision.promoted
    assert aliases == {CHAMPION: 1}
    assert tags["gate.decision"] == "undecided"
    assert "gate.champion" not in tags
    assert tags["gate.reason"].endswith("promote by hand: handful promote fingers 2")
    assert "fewer than gate.min_images (30); champion 1 stays" in tags["gate.reason"]


def test_near_duplicates_are_seen_too(tmp_path: Path, mlflow: FakeMlflow, apart: PreparedDataset) -> None:
    mlflow.register(listing(package(tmp_path / "a", BLIND), first(apart, 5, phash_only=True)), aliases=[CHAMPION])
    decision = challenge(mlflow, apart, listing(package(tmp_path / "b", GOOD), SeenImages()), DetectionGate())
    assert decision.images is not None
    assert {kind.near for kind in decision.images.left_out} == {True}
    assert sum(kind.images for kind in decision.images.left_out) >= 5
    assert "near-duplicates of what champion 1 has seen" in decision.reason


def test_a_challenger_may_have_seen_its_test_images_by_its_base(
    tmp_path: Path, mlflow: FakeMlflow, apart: PreparedDataset
) -> None:
    mlflow.register(listing(package(tmp_path / "a", BLIND), SeenImages()), aliases=[CHAMPION])
    challenger = listing(package(tmp_path / "b", GOOD), first(apart, 32))
    decision = challenge(mlflow, apart, challenger, DetectionGate(min_images=1))
    assert decision.decision == "undecided"
    assert decision.as_json()["compared"] == 0
    assert decision.as_json()["left_out"] == {"challenger": 32}
    assert decision.reason.startswith("0 of 32 test images are new to both (32 that the challenger has seen left out)")


@pytest.mark.parametrize("seen", [None, SeenImages(complete=False)])
def test_against_a_champion_of_whom_not_all_is_known_a_win_stands(
    tmp_path: Path, mlflow: FakeMlflow, apart: PreparedDataset, seen: SeenImages | None
) -> None:
    champion = package(tmp_path / "a", BLIND)
    mlflow.register(listing(champion, seen) if seen else champion, aliases=[CHAMPION])
    decision = challenge(mlflow, apart, listing(package(tmp_path / "b", GOOD), SeenImages()), DetectionGate())
    assert decision.promoted
    assert "not all that champion 1 was trained on is known: what it may have seen" in decision.reason
    assert "version 2" not in decision.reason


def test_a_champion_with_a_damaged_list_is_still_compared(
    tmp_path: Path, mlflow: FakeMlflow, apart: PreparedDataset
) -> None:
    """Serving serves it, so it must not lose for that."""
    champion = listing(package(tmp_path / "a", GOOD), SeenImages())
    (champion.root / "seen.csv").write_text("nothing of the kind")
    update = {"files": describe_files(champion.root)}
    mlflow.register(write_package(champion.root, champion.manifest.model_copy(update=update)), aliases=[CHAMPION])
    decision = challenge(mlflow, apart, listing(package(tmp_path / "b", BLIND), SeenImages()), DetectionGate())
    assert decision.decision == "kept"
    assert "32 of 32 test images are not known to be seen by either; " in decision.reason
    assert "not all that champion 1 was trained on is known (its list is damaged)" in decision.reason


def test_a_package_from_elsewhere_says_that_it_may_have_seen_them(
    tmp_path: Path, mlflow: FakeMlflow, apart: PreparedDataset
) -> None:
    mlflow.register(listing(package(tmp_path / "a", BLIND), SeenImages()), aliases=[CHAMPION])
    decision = challenge(mlflow, apart, package(tmp_path / "b", GOOD), DetectionGate())
    assert decision.promoted
    assert "not all that version 2 was trained on is known" in decision.reason


def test_identical_versions_differ_by_nothing(tmp_path: Path, mlflow: FakeMlflow, dataset: PreparedDataset) -> None:
    mlflow.register(package(tmp_path / "a", GOOD), aliases=[CHAMPION])
    decision = challenge(mlflow, dataset, package(tmp_path / "b", GOOD), DetectionGate(margin=0))
    assert decision.comparison is not None
    assert decision.comparison.interval == (0, 0)
    assert "which includes 0: chance may have decided" in decision.reason
    assert decision.decision == "kept"


def test_a_version_that_is_better_by_chance_is_kept_back_if_that_is_wanted(tmp_path: Path, mlflow: FakeMlflow) -> None:
    """One image of 36 decides: most resamples have it, some do not."""
    folder = write_squares(tmp_path / "one", [*SCENES[1:2] * 35, {(1, 1): "1"}])
    dataset = PreparedDataset.open(folder)
    classes = ("0", "4", "2", "3", "1", "5", "unknown")
    mlflow.register(package(tmp_path / "a", classes), aliases=[CHAMPION])
    good = package(tmp_path / "b", GOOD)
    strict = challenge(mlflow, dataset, good, DetectionGate(metric="count_accuracy", significant=True))
    assert strict.comparison is not None
    assert strict.comparison.difference == pytest.approx(1 / 36)
    assert strict.comparison.interval[0] == 0
    assert strict.decision == "kept"
    assert "gate.significant asks for an interval above 0" in strict.reason
    usual = challenge(mlflow, dataset, good, DetectionGate(metric="count_accuracy"))
    assert usual.promoted
    assert "which includes 0: chance may have decided" in usual.reason


def test_the_decision_is_told_to_other_programs(tmp_path: Path, mlflow: FakeMlflow, apart: PreparedDataset) -> None:
    mlflow.register(listing(package(tmp_path / "a", BLIND), first(apart, 2)), aliases=[CHAMPION])
    told = challenge(mlflow, apart, listing(package(tmp_path / "b", GOOD), SeenImages()), DetectionGate()).as_json()
    low, high = told["interval"]
    assert 0 < low <= told["difference"] <= high
    assert told["difference"] == pytest.approx(told["challenger"] - told["champion"])
    assert (told["decision"], told["compared"], told["left_out"]) == ("promoted", 30, {"champion": 2})
    tags = state(mlflow)[1]
    assert json.loads(tags["gate.interval"]) == told["interval"]
    assert float(tags["gate.champion"]) == told["champion"]
