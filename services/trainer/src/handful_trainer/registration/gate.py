"""The gate: a new version becomes champion only if it is better on its own test images."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from handful_core.errors import DataError, NotFoundError, PackageError
from handful_core.package.archive import read_folder
from handful_core.registry import CHAMPION, Registry, Version
from handful_core.runtime.model import load_model
from handful_trainer.config import GateConfig
from handful_trainer.dataset.prepared import PreparedDataset
from handful_trainer.tasks.base import Evaluation


@dataclass(frozen=True, slots=True)
class GateDecision:
    """What the gate decided, and by which numbers."""

    promoted: bool
    reason: str
    metric: str
    margin: float
    challenger: float
    champion: float | None = None
    """The champion's score on the challenger's test images; None where there was no champion to compare with."""
    champion_version: int | None = None

    def tags(self) -> dict[str, str]:
        """The decision, as tags of the version."""
        values = {
            "gate.decision": "promoted" if self.promoted else "kept",
            "gate.reason": self.reason,
            "gate.metric": self.metric,
            "gate.margin": repr(self.margin),
            "gate.challenger": repr(self.challenger),
        }
        if self.champion is not None:
            values["gate.champion"] = repr(self.champion)
        if self.champion_version is not None:
            values["gate.champion_version"] = str(self.champion_version)
        return values


def pass_gate(
    registry: Registry, version: Version, evaluation: Evaluation, dataset: PreparedDataset, gate: GateConfig
) -> GateDecision:
    """Compare a new version with the champion on the new version's test split, and move the alias if it wins.

    Args:
        registry: MLflow's registry.
        version: the challenger.
        evaluation: the challenger on the dataset's test split.
        dataset: the challenger's dataset.
        gate: what is compared, and by how much the challenger must win.
    """
    score = evaluation.metrics().get(gate.metric)
    if score is None:
        raise DataError(f"the test split gives no {gate.metric}", "choose another gate.metric")
    decision = _decide(_champion(registry, version.name), version, score, dataset, gate, registry)
    registry.set_tags(version.name, version.version, decision.tags())
    if decision.promoted:
        registry.promote(version.name, version.version)
    return decision


def _champion(registry: Registry, name: str) -> Version | None:
    try:
        return registry.version(name, CHAMPION)
    except NotFoundError:
        return None


def _decide(
    champion: Version | None,
    challenger: Version,
    score: float,
    dataset: PreparedDataset,
    gate: GateConfig,
    registry: Registry,
) -> GateDecision:
    decide = partial(GateDecision, metric=gate.metric, margin=gate.margin, challenger=score)
    if champion is None or champion.version == challenger.version:
        return decide(promoted=True, reason="there was no champion")
    try:
        other = _score_of(champion, dataset, gate.metric, registry)
    except (PackageError, DataError) as error:
        # A champion that cannot be run on these images cannot be defended either, and serving could not load it.
        reason = f"champion {champion.version} cannot be compared: {error}"
        return decide(promoted=True, reason=reason, champion_version=champion.version)
    wins = score > other and score - other >= gate.margin
    verdict = "better than" if wins else "not better than"
    reason = f"{gate.metric} {score:.4f} is {verdict} champion {champion.version}'s {other:.4f} by {gate.margin}"
    return decide(promoted=wins, reason=reason, champion=other, champion_version=champion.version)


def _score_of(champion: Version, dataset: PreparedDataset, metric: str, registry: Registry) -> float:
    with tempfile.TemporaryDirectory(prefix="handful-champion-") as folder:
        package = read_folder(registry.download_package(champion, Path(folder)))
        return dataset.task.evaluate(load_model(package), dataset, "test").metrics().get(metric, 0.0)
