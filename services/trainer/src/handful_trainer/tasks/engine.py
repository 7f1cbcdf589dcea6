"""What trains a task's networks and brings them into ONNX: all that the pipeline knows of it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

if TYPE_CHECKING:
    from handful_core.package import Input, Output, Package, Thresholds
    from handful_core.runtime.model import VisionModel
    from handful_core.vision.decode import Pixels
    from handful_trainer.config import TrainingConfig
    from handful_trainer.dataset.prepared import PreparedDataset
    from handful_trainer.pipeline.job import TrainingJob
    from handful_trainer.pipeline.torchrun import ProcessGroup

OnEpoch = Callable[[int, Mapping[str, float]], None]
"""Gets an epoch's number, from 1, and its metrics; what it raises ends the training."""


class TrainingListener(Protocol):
    """Whom an engine tells how its training goes."""

    def started(self, params: Mapping[str, Any], batches: int, done: int) -> None:
        """The training begins.

        Args:
            params: the engine's own settings as they were resolved, to be logged.
            batches: of the whole training.
            done: of these, before this process.
        """

    def batch(self) -> None:
        """A batch is over."""

    def epoch(self, number: int, metrics: Mapping[str, float]) -> None:
        """An epoch is over, validation included; what this raises ends the training."""


@dataclass(frozen=True, slots=True)
class ExportedGraph:
    """An ONNX file and what its manifest has to say of it."""

    path: Path
    classes: tuple[str, ...]
    input: Input
    output: Output
    opset: int
    weights: str = "weights.pt"
    """Name of the weights beside it, if the package holds them."""


class Agreement(Protocol):
    """How well two answers to one image agree."""

    @property
    def ok(self) -> bool:
        """Within the tolerances."""

    @property
    def severity(self) -> tuple[float, ...]:
        """Larger is worse, for sorting."""


class Reference(Protocol):
    """A package beside the weights that it was made from."""

    def compare(self, pixels: Pixels) -> Agreement:
        """Let both answer an image: (height, width, 3) uint8, BGR, upright."""

    def worst(self, agreements: Sequence[Agreement]) -> Agreement:
        """All of them in one."""


class Variant(Protocol):
    """A package of lower precision, beside the one that it was made from."""

    @property
    def package(self) -> Package:
        """The variant."""

    @property
    def reason(self) -> str:
        """Why it is not to be taken; empty if it is."""

    def rows(self) -> list[tuple[str, str, str]]:
        """A table: what, of the original, of the variant."""

    def as_json(self) -> dict[str, Any]:
        """For another program."""


class Engine(Protocol):
    """Trains a task's networks and brings them into ONNX."""

    config: type[TrainingConfig]
    """What a configuration file of this task may say."""
    packages: tuple[str, ...]
    """Distributions that decide what comes of a training: runs and manifests name their versions."""
    validation_metric: str
    """What chooses the best epoch, as the run carries it; `handful tune` maximises it."""

    def configure(self, home: Path) -> None:
        """Set the libraries up, before anything of them is imported."""

    def publishes(self, name: str) -> bool:
        """Is this the name of a file of weights that the engine's makers publish?

        They were trained on none of the user's images, so that nothing of them is counted as seen.
        """

    def validate(self, config: TrainingConfig, dataset: PreparedDataset, *, register: bool) -> None:
        """Refuse settings that cannot work with a dataset: before hours of training, not after.

        Raises:
            ConfigError: the model could not be trained or evaluated, or (`register`) not pass the gate.
        """

    def estimate(self, job: TrainingJob) -> Estimate:
        """Train some batches, and say what all of it would take."""

    def train(self, job: TrainingJob, listener: TrainingListener, *, resume: bool) -> Path:
        """Train, or go on with the last whole checkpoint of the job's folder.

        Returns:
            The weights of the best epoch.

        Raises:
            ResourceError: not enough memory or disk.
            DataError: the training cannot learn from this data.
        """

    def best_weights(self, run: Path) -> Path:
        """Where `train` leaves the weights of the best epoch, in the run's folder."""

    def epochs_done(self, run: Path) -> int:
        """How many epochs were trained."""

    def plots(self, run: Path) -> Iterable[Path]:
        """Pictures and tables of the training, for MLflow."""

    def discard_checkpoints(self, run: Path, *, keep_best: bool) -> None:
        """Remove checkpoints, all or all but the best epoch's."""

    def export(self, config: TrainingConfig, weights: Path, folder: Path) -> ExportedGraph:
        """Write `model.onnx`, and the weights if the package is to hold them, into a package's folder.

        Raises:
            ConfigError: the network cannot be exported as configured.
        """

    def thresholds(self, config: TrainingConfig, counts: Mapping[str, int]) -> Thresholds:
        """The thresholds that a package begins with."""

    def fit_package(self, config: TrainingConfig, model: VisionModel, dataset: PreparedDataset) -> Mapping[str, object]:
        """Let the validation images decide what a package says of itself: thresholds, calibration, limits.

        Args:
            config: the training's.
            model: the package as it was exported. Its files may be changed, and others be written beside them.
            dataset: what it was trained on.

        Returns:
            Fields of the manifest; empty if there is nothing to decide.
        """

    def reference(self, config: TrainingConfig, model: VisionModel, weights: Path) -> Reference:
        """The weights, run by the engine itself as `config` has them packaged, for the parity check."""

    def quantize(self, package: Package, dataset: PreparedDataset, folder: Path, images: int) -> Variant:
        """Make an INT8 variant of a package and measure both.

        Raises:
            ConfigError: this task has none.
        """


@runtime_checkable
class DistributedEngine(Engine, Protocol):
    """An engine of which torchrun may start several processes: `train` leads in the first, the others follow."""

    def share_out(self, config: TrainingConfig, group: ProcessGroup) -> None:
        """Refuse settings that so many processes cannot share, before anything is done.

        Raises:
            ConfigError: a batch cannot be parted, or a process has no device.
        """

    def follow(self, job: TrainingJob) -> None:
        """Train along until the first process ends. Nothing is written, and MLflow is told nothing.

        Args:
            job: the same as the first process's, but for its folder.

        Raises:
            ConfigError: the first process trains something else.
        """


WEIGHTS = "weights.pt"
"""Name of the weights in a package, where they are a file of torch's."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """What a training would take."""

    device: str
    parameters: int
    train_images: int
    val_images: int
    batches: int
    """In an epoch."""
    epochs: int
    batch_seconds: float
    """Median of the batches that were trained."""
    epoch_seconds: float
    """Training and validation."""
    seconds: float
    """Of all epochs; less, if patience ends it early."""
    memory_bytes: int
    """Most that this process used, the GPU's memory where there is one."""
    memory_available: int
    disk_bytes: int
    """What the checkpoints take."""

    def as_json(self) -> dict[str, Any]:
        """What `handful train --dry-run --json` prints."""
        return asdict(self)
