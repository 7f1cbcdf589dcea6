from pathlib import Path

import pytest

from fakes.packages import CLASSES, build_package, damage
from fakes.registry import FakeMlflow
from fakes.squares import write_squares
from handful_core.package import Package
from handful_core.registry import CHAMPION, PREVIOUS, Registry
from handful_core.runtime.model import load_model
from handful_trainer.dataset.prepared import PreparedDataset
from handful_trainer.registration import GateDecision, pass_gate
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
    return PreparedDataset.open(write_squares(tmp_path / "squares"))


def package(folder: Path, classes: tuple[str, ...]) -> Package:
    return build_package(folder, classes=classes, golden=False)


def challenge(mlflow: FakeMlflow, dataset: PreparedDataset, challenger: Package, gate: DetectionGate) -> GateDecision:
    registry = Registry("http://mlflow", transport=mlflow.transport())
    version = registry.version("fingers", mlflow.register(challenger))
    evaluation = evaluate(load_model(challenger, threads=1), dataset, "test")
    return pass_gate(registry, version, evaluation, dataset, gate)


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


def test_another_metric_can_decide(tmp_path: Path, mlflow: FakeMlflow, dataset: PreparedDataset) -> None:
    mlflow.register(package(tmp_path / "a", BLIND), aliases=[CHAMPION])
    decision = challenge(mlflow, dataset, package(tmp_path / "b", GOOD), DetectionGate(metric="count_accuracy"))
    assert (decision.metric, decision.challenger) == ("count_accuracy", 1.0)
