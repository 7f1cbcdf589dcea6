"""What a task has to be: all that pipeline, datasets, packaging, registry, gate and commands know of it.

A task is three things. Its **labels** say what counts of an annotation and how it lies on disk. Its **engine** trains
and exports; a task without one can still be evaluated, registered and served. Its **evaluation** gives the numbers
that the gate compares.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol

if TYPE_CHECKING:
    from handful_core.package import Input, Output, Package, Thresholds
    from handful_core.runtime.model import VisionModel
    from handful_core.vision.decode import Pixels
    from handful_trainer.config import TrainingConfig
    from handful_trainer.dataset.inspection.facts import ImageFacts
    from handful_trainer.dataset.preparation.assets import Asset
    from handful_trainer.dataset.prepared import PreparedDataset
    from handful_trainer.dataset.report.thumbnails import Outline
    from handful_trainer.dataset.settings import DatasetConfig
    from handful_trainer.dataset.sources.base import RawItem, SplitName
    from handful_trainer.pipeline.job import TrainingJob


# --- labels -----------------------------------------------------------------------------------------------------------


class Label(Protocol):
    """One label of an image that is kept: a box, or what the whole image shows."""

    @property
    def class_id(self) -> int:
        """Place of its class in the dataset's list."""


class DroppedLabel(Protocol):
    """One that is left out."""

    @property
    def label(self) -> str:
        """The class it names."""

    @property
    def reason(self) -> str:
        """Why, in one word. `unknown_label`: it is none of the classes."""


class Labels(Protocol):
    """An image's labels, sorted out."""

    @property
    def kept(self) -> Sequence[Label]:
        """Those that are trained on."""

    @property
    def dropped(self) -> Sequence[DroppedLabel]:
        """Those that are not."""

    @property
    def content(self) -> Hashable:
        """The same for two images that carry the same labels."""

    @property
    def required(self) -> bool:
        """Is an image without a kept label of no use? With boxes it is an example of nothing to be found."""


@dataclass(frozen=True, slots=True)
class OpenedFolder:
    """What a folder with images and labels says of itself."""

    root: Path
    description: Path
    """The file that describes it, or the folder itself where there is none."""
    classes: tuple[str, ...]
    splits: Mapping[str, int]
    """Images of each split that it has."""


class DatasetComparison(Protocol):
    """What the second of two datasets has other than the first."""

    @property
    def moved(self) -> Mapping[str, str]:
        """Assets in another split: `train → test`."""

    @property
    def unchanged(self) -> int:
        """Images that are the same in all."""

    def counts(self) -> list[tuple[str, int, int, int]]:
        """Rows of a table: what, and how many were added, removed and changed."""

    def rows(self) -> list[tuple[str, str, str]]:
        """What differs in images that both have: asset, what, which."""

    def as_json(self) -> dict[str, Any]:
        """For another program."""


class WriteLabels(Protocol):
    """Writes some label files of a prepared dataset."""

    def __call__(self, folder: str, entries: Sequence[Any], *, again: bool = False) -> list[None]:
        """Write them.

        Args:
            folder: the dataset's folder.
            entries: some of `LabelFormat.entries`.
            again: some may be there already, or half of one: they are replaced.
        """


class LabelFormat(Protocol):
    """What a task makes of annotations, and how its labels lie on disk."""

    noun: str
    """What labels are called in reports and tables, in the plural: boxes."""
    one: str
    """What one is called: a box."""
    titles: Mapping[str, str]
    """Headings of the report's page, by the problems that `problems` names."""
    write: WriteLabels
    """Writes label files. A module's function: other processes import it, so its module should be light."""

    def named(self, item: RawItem) -> Iterable[str]:
        """The classes that an annotation names, for sources without a list of classes."""

    def clean(self, item: RawItem, facts: ImageFacts, class_ids: Mapping[str, int]) -> Labels:
        """What counts of an annotation.

        Args:
            item: the asset.
            facts: what its file holds; width and height in pixels of the upright image.
            class_ids: class id by name; what is missing here is unknown.
        """

    def empty(self) -> Labels:
        """No labels, for images that cannot be used."""

    def check(self, config: DatasetConfig, assets: Sequence[Asset]) -> None:
        """Refuse what the configuration forbids.

        Raises:
            DataError: the line names assets.
        """

    def kept_counts(self, usable: Sequence[Asset]) -> dict[str, Any]:
        """Entries of report.json: what was kept and dropped."""

    def odd_counts(self, usable: Sequence[Asset]) -> dict[str, int]:
        """Entries of report.json: what is odd without being wrong."""

    def problems(self, asset: Asset) -> Iterator[tuple[str, str]]:
        """Each defect of an asset's labels, with a detail."""

    def oddities(self, asset: Asset) -> Iterator[str]:
        """What is odd about an asset's labels, for the report's pictures."""

    def warnings(self, report: Mapping[str, Any], usable: Sequence[Asset]) -> Iterator[str]:
        """Sentences for people."""

    def outlines(self, asset: Asset, classes: Sequence[str]) -> Iterable[Outline]:
        """What is drawn over the asset's picture in the report."""

    def folders(self, classes: Sequence[str]) -> Iterable[str]:
        """Folders of a prepared dataset, relative to it."""

    def image_name(self, asset: Asset, classes: Sequence[str]) -> str:
        """Where an asset's image lies in a prepared dataset, relative to it."""

    def entries(self, usable: Sequence[Asset]) -> Sequence[Any]:
        """What `write` takes, one for each label file; empty where the folders' names say all."""

    def describe(self, folder: Path, classes: Sequence[str]) -> None:
        """Write the file that describes the dataset, if the format has one."""

    def is_whole(self, root: Path, splits: Mapping[str, int]) -> bool:
        """Are all images and labels still there?"""

    def opens(self, path: Path) -> bool:
        """Does this folder, or file, look like a dataset of this format?"""

    def open(self, path: Path) -> OpenedFolder:
        """Read what a folder says of itself.

        Raises:
            DataError: it is missing or damaged.
        """

    def samples(self, dataset: PreparedDataset, split: SplitName) -> Iterator[tuple[Path, Any]]:
        """The images of a split with their labels, in the order of their names.

        Raises:
            DataError: one is damaged.
        """

    def compare(self, first: PreparedDataset, second: PreparedDataset) -> DatasetComparison:
        """What changed between two prepared datasets.

        Raises:
            DataError: one of them was not prepared by Handful, or is damaged.
        """


# --- training ---------------------------------------------------------------------------------------------------------


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
    validation_metric: str
    """What chooses the best epoch, as the run carries it; `handful tune` maximises it."""

    def configure(self, home: Path) -> None:
        """Set the libraries up, before anything of them is imported."""

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
        """Write `model.onnx`, and the weights as `WEIGHTS` if the package is to hold them, into a package's folder.

        Raises:
            ConfigError: the network cannot be exported as configured.
        """

    def thresholds(self, config: TrainingConfig, counts: Mapping[str, int]) -> Thresholds:
        """The thresholds that a package begins with."""

    def tuned(self, config: TrainingConfig, model: VisionModel, dataset: PreparedDataset) -> Thresholds | None:
        """Better ones, chosen on the validation images; None if there is nothing to choose."""

    def reference(self, model: VisionModel, weights: Path) -> Reference:
        """The weights, run by the engine itself, for the parity check."""

    def quantize(self, package: Package, dataset: PreparedDataset, folder: Path, images: int) -> Variant:
        """Make an INT8 variant of a package and measure both.

        Raises:
            ConfigError: this task has none.
        """


WEIGHTS = "weights.pt"
"""Name of the weights in a package."""


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


# --- judging ----------------------------------------------------------------------------------------------------------


class Evaluation(Protocol):
    """How good a model is on a split."""

    @property
    def split(self) -> str:
        """train, val or test."""

    @property
    def images(self) -> int:
        """How many there were."""

    @property
    def example(self) -> Path:
        """One of them."""

    @property
    def per_class(self) -> Mapping[str, Mapping[str, float]]:
        """Metrics by class."""

    def metrics(self) -> dict[str, float]:
        """The numbers that runs and versions carry; of all, more is better."""

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

    answered: str
    """What a model did with an image, as the quickstart says it: counted."""

    def is_right(self, answer: Mapping[str, Any], dataset: PreparedDataset, labels: Any) -> bool:
        """Does a server's answer say what an image is labelled as?

        Args:
            answer: of POST /predict.
            dataset: that the image belongs to.
            labels: as `LabelFormat.samples` gives them.
        """


OnEpoch = Callable[[int, Mapping[str, float]], None]
