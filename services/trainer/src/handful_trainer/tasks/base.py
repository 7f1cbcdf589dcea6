"""What a task has to be: all that pipeline, datasets, packaging, registry, gate and commands know of it.

A task is three things. Its **labels** say what counts of an annotation and how it lies on disk. Its **engine** trains
and exports; a task without one can still be evaluated, registered and served. Its **evaluation** gives the numbers
that the gate compares.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol, Self

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from handful_core.runtime.model import VisionModel
    from handful_trainer.dataset.label_issues.issue import FoundIssues
    from handful_trainer.dataset.prepared import PreparedDataset
    from handful_trainer.tasks.engine import Engine
    from handful_trainer.tasks.label_format import LabelFormat


class Evaluation(Protocol):
    """How good a model is on a split."""

    @property
    def split(self) -> str:
        """train, val or test."""

    @property
    def images(self) -> int:
        """How many there were."""

    @property
    def paths(self) -> Sequence[Path]:
        """Which, in the order of the split."""

    @property
    def example(self) -> Path:
        """One of them."""

    @property
    def per_class(self) -> Mapping[str, Mapping[str, float]]:
        """Metrics by class."""

    def metrics(self) -> dict[str, float]:
        """The numbers that the gate may compare; of all, more is better."""

    def measured(self) -> Mapping[str, float]:
        """The numbers that runs and versions carry: `metrics()`, and those of which more is not better."""

    def intervals(self) -> Mapping[str, tuple[float, float]]:
        """95 % intervals of what was measured, as far as there are."""

    def warnings(self) -> Sequence[str]:
        """Sentences for people: what was not measured, and what the numbers hide."""

    def on(self, images: Collection[Path]) -> Self:
        """The same on some of the images, one at least; the network is not run again."""

    def resampled(self, metric: str, weights: NDArray[np.int64]) -> NDArray[np.float64]:
        """A metric of resampled images, for bootstrap intervals; the network is not run again.

        Args:
            metric: one of the task's.
            weights: (resamples, images), how often each of `paths` was drawn.

        Returns:
            (resamples,)

        Raises:
            DataError: the evaluation has no such metric.
        """

    def stressed(self, model: VisionModel) -> Self:
        """The same, with how the model does on worse pictures: it is run on some of the images again, several times.

        Args:
            model: that was evaluated.

        Raises:
            ConfigError: see `Task.robustness`.
        """

    def as_json(self) -> dict[str, Any]:
        """What `handful evaluate --json` prints and a manifest carries."""

    def write(self, folder: Path) -> Path:
        """Write metrics.json, curves and pictures into the folder, which is made."""


class Task(Protocol):
    """A kind of model."""

    name: str
    """As configurations name it."""
    package_task: Literal["detect", "classify"]
    """As manifests name it: how packages of this task are served."""
    metrics: tuple[str, ...]
    """What the gate may compare, the usual one first."""
    labels: LabelFormat
    engine: Engine | None
    """None for a task that can be judged and served, but not trained here."""

    def evaluate(self, model: VisionModel, dataset: PreparedDataset, split: str) -> Evaluation:
        """Measure a model on a split, the way it is served.

        Raises:
            DataError: the split has no images, or model and dataset do not fit together.
        """

    def find_label_issues(self, model: VisionModel | None, dataset: PreparedDataset) -> FoundIssues:
        """Look for labels that are probably wrong, in all splits.

        Args:
            model: that is asked; None where the task has to do without.
            dataset: whose labels they are.

        Raises:
            ConfigError: the task needs a model, or another one.
            DataError: model and dataset do not fit together.
        """

    robustness: bool
    """Can its evaluations say how a model does on worse pictures?"""
    answered: str
    """What a model did with an image, as the quickstart says it: counted."""

    def is_right(self, answer: Mapping[str, Any], dataset: PreparedDataset, labels: Any) -> bool:
        """Does a server's answer say what an image is labelled as?

        Args:
            answer: of POST /predict.
            dataset: that the image belongs to.
            labels: as `LabelFormat.samples` gives them.
        """
