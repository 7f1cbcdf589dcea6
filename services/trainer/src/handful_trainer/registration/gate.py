"""The gate: a new version becomes champion only if it is better on test images that neither version has seen."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from handful_core.errors import DataError, NotFoundError, PackageError
from handful_core.package import Package, SeenImages, seen_by
from handful_core.package.archive import read_folder
from handful_core.registry import CHAMPION, Registry, Version
from handful_core.runtime.model import load_model
from handful_trainer.config import GateConfig
from handful_trainer.dataset.image_hashes import image_hashes
from handful_trainer.dataset.prepared import PreparedDataset
from handful_trainer.registration.comparison import ComparedImages, Comparison, LeftOut, compare, unseen_images
from handful_trainer.tasks.base import Evaluation

Decision = Literal["promoted", "kept", "undecided"]


@dataclass(frozen=True, slots=True)
class Candidate:
    """A version with what the gate has to know of it."""

    version: Version
    evaluation: Evaluation
    """On the challenger's test split."""
    seen: SeenImages
    damaged: bool = False
    """Its list of seen images cannot be read."""


@dataclass(frozen=True, slots=True)
class GateDecision:
    """What the gate decided, and by which numbers."""

    decision: Decision
    reason: str
    metric: str
    margin: float
    challenger: float
    """The challenger's score on all its test images; on those that were compared, if there is a comparison."""
    champion_version: int | None = None
    images: ComparedImages | None = None
    """What was compared on; None where there was no champion to compare with."""
    comparison: Comparison | None = None
    """None where too few images are left, too."""

    @property
    def promoted(self) -> bool:
        """The new version is champion."""
        return self.decision == "promoted"

    @property
    def champion(self) -> float | None:
        """The champion's score on the same images, if there is a comparison."""
        return self.comparison.champion if self.comparison else None

    def as_json(self) -> dict[str, Any]:
        """For another program."""
        values: dict[str, Any] = {
            "decision": self.decision,
            "reason": self.reason,
            "metric": self.metric,
            "margin": self.margin,
            "challenger": self.challenger,
        }
        if self.champion_version is not None:
            values["champion_version"] = self.champion_version
        if self.images:
            values["compared"] = len(self.images.paths)
            values["left_out"] = {_key(kind): kind.images for kind in self.images.left_out}
        if self.comparison:
            values["champion"] = self.comparison.champion
            values["difference"] = self.comparison.difference
            values["interval"] = list(self.comparison.interval)
        return values

    def tags(self) -> dict[str, str]:
        """The decision, as tags of the version."""
        values = {f"gate.{key}": value for key, value in self.as_json().items()}
        return {key: value if isinstance(value, str) else json.dumps(value) for key, value in values.items()}


def pass_gate(registry: Registry, challenger: Candidate, dataset: PreparedDataset, gate: GateConfig) -> GateDecision:
    """Compare a new version with the champion, and move the alias if it wins.

    Args:
        registry: MLflow's registry.
        challenger: the new version.
        dataset: its dataset.
        gate: what is compared, and by how much the challenger must win.
    """
    version = challenger.version
    if gate.metric not in challenger.evaluation.metrics():
        raise DataError(f"the test split gives no {gate.metric}", "choose another gate.metric")
    decision = _decide(registry, challenger, dataset, gate)
    registry.set_tags(version.name, version.version, decision.tags())
    if decision.promoted:
        registry.promote(version.name, version.version)
    return decision


def _decide(registry: Registry, challenger: Candidate, dataset: PreparedDataset, gate: GateConfig) -> GateDecision:
    score = challenger.evaluation.metrics()[gate.metric]
    champion = _champion(registry, challenger.version.name)
    if champion is None or champion.version == challenger.version.version:
        reason = "no version was champion before" if champion is None else "it is the champion already"
        return GateDecision("promoted", reason, gate.metric, gate.margin, score)
    try:
        rival = _evaluated(champion, dataset, gate.metric, registry)
    except PackageError as error:  # Serving cannot load it either.
        reason = f"champion {champion.version} cannot be compared: {error}"
        return GateDecision("promoted", reason, gate.metric, gate.margin, score, champion.version)
    except DataError as error:  # It may do well what it was made for, and is served.
        reason = f"champion {champion.version} cannot be compared: {error.message}; {_stays(challenger, champion)}"
        return GateDecision("undecided", reason, gate.metric, gate.margin, score, champion.version)
    hashes = image_hashes(dataset, "test")
    images = unseen_images(hashes, challenger.seen, rival.seen, dataset.near_duplicate_distance)
    return _judge(challenger, rival, images, gate)


def _champion(registry: Registry, name: str) -> Version | None:
    try:
        return registry.version(name, CHAMPION)
    except NotFoundError:
        return None


def _evaluated(champion: Version, dataset: PreparedDataset, metric: str, registry: Registry) -> Candidate:
    with tempfile.TemporaryDirectory(prefix="handful-champion-") as folder:
        package = read_folder(registry.download_package(champion, Path(folder)))
        evaluation = dataset.task.evaluate(load_model(package), dataset, "test")
        if metric not in evaluation.metrics():
            raise DataError(f"it gives no {metric}")
        return Candidate(champion, evaluation, *_known(package))


def _known(package: Package) -> tuple[SeenImages, bool]:
    """What a champion has seen, and whether its list is damaged: serving serves it all the same."""
    try:
        return seen_by(package), False
    except PackageError:
        return SeenImages(complete=False), True


def _judge(challenger: Candidate, champion: Candidate, images: ComparedImages, gate: GateConfig) -> GateDecision:
    """Decide by the images that neither has seen, if there are enough."""
    if len(images.paths) < gate.min_images:
        score = challenger.evaluation.metrics()[gate.metric]
        reason = _too_few(challenger, champion, images, gate)
        return GateDecision("undecided", reason, gate.metric, gate.margin, score, champion.version.version, images)
    found = compare(challenger.evaluation.on(images.paths), champion.evaluation.on(images.paths), gate.metric)
    better = found.difference > 0 and found.difference >= gate.margin
    doubtful = gate.significant and found.interval[0] <= 0
    parts = [_numbers(found, champion.version, gate, better=better)]
    parts += ["gate.significant asks for an interval above 0"] if better and doubtful else []
    parts += [_compared_on(images, challenger, champion), *_unknown(challenger, champion)]
    decision: Decision = "promoted" if better and not doubtful else "kept"
    number = champion.version.version
    return GateDecision(decision, "; ".join(parts), gate.metric, gate.margin, found.challenger, number, images, found)


def _too_few(challenger: Candidate, champion: Candidate, images: ComparedImages, gate: GateConfig) -> str:
    few = f"{_compared_on(images, challenger, champion)}, fewer than gate.min_images ({gate.min_images})"
    return f"{few}; {_stays(challenger, champion.version, 'add test images that neither has seen')}"


def _stays(challenger: Candidate, champion: Version, better: str = "choose another name for the new one") -> str:
    by_hand = f"handful promote {challenger.version.name} {challenger.version.version}"
    return f"champion {champion.version} stays: {better}, or promote by hand: {by_hand}"


def _numbers(found: Comparison, champion: Version, gate: GateConfig, *, better: bool) -> str:
    verdict = "better than" if better else "not better than"
    low, high = found.interval
    chance = ", which includes 0: chance may have decided" if low <= 0 <= high else ""
    return (
        f"{gate.metric} {found.challenger:.4f} is {verdict} champion {champion.version}'s {found.champion:.4f} by "
        f"{gate.margin}; the difference is {found.difference:+.4f}, 95 % interval {low:+.4f} to {high:+.4f}{chance}"
    )


def _unknown(challenger: Candidate, champion: Candidate) -> Iterator[str]:
    """Whom the comparison may favour, because nobody knows all that it has seen."""
    if not champion.seen.complete:
        why = " (its list is damaged)" if champion.damaged else ""
        name = f"champion {champion.version.version}"
        yield f"not all that {name} was trained on is known{why}: what it may have seen of these favours it"
    if not challenger.seen.complete:
        name = f"version {challenger.version.version}"
        yield f"not all that {name} was trained on is known: what it may have seen of these favours it"


def _compared_on(images: ComparedImages, challenger: Candidate, champion: Candidate) -> str:
    """How many images, and which not."""
    known = challenger.seen.complete and champion.seen.complete
    kinds = [_words(kind, champion.version) for kind in images.left_out]
    out = f" ({', '.join(kinds)} left out)" if kinds else ""
    what = "are new to both" if known else "are not known to be seen by either"
    return f"{len(images.paths)} of {images.total} test images {what}{out}"


def _words(kind: LeftOut, champion: Version) -> str:
    who = {"champion": f"champion {champion.version} has", "challenger": "the challenger has", "both": "both have"}
    near = f"near-duplicate{'' if kind.images == 1 else 's'} of what"
    return f"{kind.images} {near if kind.near else 'that'} {who[kind.seen_by]} seen"


def _key(kind: LeftOut) -> str:
    return f"near_{kind.seen_by}" if kind.near else kind.seen_by
