"""Training with Lightning, watched by a callback."""

from __future__ import annotations

import contextlib
import logging
import os
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import lightning
import torch
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.fabric.utilities.warnings import PossibleUserWarning
from lightning.pytorch.callbacks import ModelCheckpoint

from handful_core.console import say
from handful_core.errors import ConfigError
from handful_core.runtime.cpus import available_cpus
from handful_trainer.pipeline.job import TrainingJob
from handful_trainer.tasks.classification.data.datasets import ClassFolders, Share, loading_processes
from handful_trainer.tasks.classification.network import Network
from handful_trainer.tasks.classification.settings import ClassificationConfig, classification_config
from handful_trainer.tasks.classification.training.checkpoint import LAST, WholeFiles, last_checkpoint
from handful_trainer.tasks.classification.training.epochs import BEST, CURVES, Epochs, write_curves
from handful_trainer.tasks.classification.training.module import Classifier
from handful_trainer.tasks.classification.training.placement import Placement, placement
from handful_trainer.tasks.classification.training.ranks import other_ranks
from handful_trainer.tasks.classification.training.torchrun import dismiss_followers, leading
from handful_trainer.tasks.classification.training.weights import first_network
from handful_trainer.tasks.engine import TrainingListener
from handful_trainer.tasks.torch_errors import translated_errors

FOLDER = "lightning"
"""In a run's folder."""
_PRECISION: Mapping[str, Any] = {"cuda": "16-mixed"}
"""Where it is another than 32-true, if nothing is said."""
NO_NUMBER = "lower training.lr, or look at the images"


def configure() -> None:
    """Let Lightning and torch be quiet, use the processors that there are, and ask no hub for anything but weights."""
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    os.environ["MPLBACKEND"] = "Agg"
    for name in ("lightning.pytorch", "lightning.fabric", "timm", "huggingface_hub"):
        logging.getLogger(name).setLevel(logging.ERROR)
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", available_cpus())))


def train(job: TrainingJob, listener: TrainingListener, *, resume: bool) -> Path:
    """Train, or go on where a training stopped.

    Args:
        job: what is trained, on what.
        listener: told of parameters, batches and epochs.
        resume: go on with the folder's last checkpoint.

    Returns:
        The weights of the epoch with the best macro F1 on the validation images.

    Raises:
        ConfigError: the settings do not fit the machine, or the weights to begin with.
        ResourceError: not enough memory or disk.
        DataError: the training cannot learn from this data.
    """
    config, folder = classification_config(job.config), job.folder.path / FOLDER
    folder.mkdir(exist_ok=True)
    checkpoint = last_checkpoint(folder / LAST) if resume else None
    if checkpoint is not None and checkpoint.ended(config):
        dismiss_followers(job)
        return folder / BEST
    if checkpoint is not None:
        say(f"going on after epoch {checkpoint.epochs_done} of {config.training.epochs}")
    path, place = checkpoint.path if checkpoint else None, placement(config, job.group)
    epochs, saved = callbacks(job, listener)
    with translated_errors(NO_NUMBER):
        classifier, data = prepared(job, place)
        with leading(job, path) if job.group else other_ranks(job, place, path):
            fit(config, classifier, data, [epochs, saved], path, place)
        write_curves(epochs.history, folder / CURVES)
    return folder / BEST


def callbacks(job: TrainingJob, listener: TrainingListener) -> tuple[Epochs, ModelCheckpoint]:
    """What watches each process of a training. Those of the first one write."""
    folder = job.folder.path / FOLDER
    saved = ModelCheckpoint(folder, Path(LAST).stem, enable_version_counter=False, save_on_train_epoch_end=True)
    return Epochs(listener, folder, classification_config(job.config)), saved


def prepared(job: TrainingJob, place: Placement | None = None) -> tuple[Classifier, ClassFolders]:
    """The network with its first weights, and its images; all that chance decides follows from the seed.

    Args:
        job: what is trained, on what.
        place: which of the training's processes this is; the configuration's devices if not given.

    Raises:
        ConfigError: the settings do not fit the machine, or the weights to begin with.
    """
    config = classification_config(job.config)
    place = place or placement(config)
    torch.manual_seed(config.training.seed)
    network = Network.of(config, job.dataset.classes)
    workers = loading_processes(config, place.accelerator, place.ranks)
    data = ClassFolders(job.dataset, network, config, workers, Share(place.rank, place.ranks))
    module = first_network(job, network).to(memory_format=torch.channels_last)
    return Classifier(module, network, config, data), data


def fit(
    config: ClassificationConfig,
    classifier: Classifier,
    data: ClassFolders,
    callbacks: list[lightning.Callback],
    checkpoint: Path | None = None,
    place: Placement | None = None,
) -> None:
    """Let Lightning train.

    Args:
        config: the training's configuration.
        classifier: what is trained.
        data: its images.
        callbacks: watch it.
        checkpoint: where it goes on, if it does.
        place: which of the training's processes this is; the configuration's devices if not given.

    Raises:
        KeyboardInterrupt: as it was raised: Lightning would end the process itself.
        ConfigError: Lightning cannot train this way on this machine.
    """
    place, precision = place or placement(config), config.training.precision
    try:
        with _quiet():
            trainer = lightning.Trainer(
                **place.trainer_arguments(freezes=config.training.head_epochs > 0),
                precision=_PRECISION.get(place.accelerator, "32-true") if precision == "auto" else precision,
                max_epochs=config.training.epochs,
                callbacks=callbacks,
                plugins=[WholeFiles()],
                logger=False,
                num_sanity_val_steps=0,
                use_distributed_sampler=False,
                enable_progress_bar=False,
                enable_model_summary=False,
                enable_checkpointing=any(isinstance(callback, ModelCheckpoint) for callback in callbacks),
            )
            trainer.fit(classifier, data, ckpt_path=checkpoint, weights_only=True)
    except SystemExit as end:
        if isinstance(end.__context__, KeyboardInterrupt):
            raise end.__context__ from None
        raise
    except MisconfigurationException as error:
        told = f"Lightning cannot train this way ({str(error).splitlines()[0]})"
        raise ConfigError(told, "see training.device") from error


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Lightning's advice is for other programs, and what it uses of torch that will go is for its makers."""
    with warnings.catch_warnings():
        for kind in (PossibleUserWarning, FutureWarning, DeprecationWarning):
            warnings.simplefilter("ignore", kind)
        warnings.filterwarnings("ignore", "Checkpoint directory .* exists and is not empty")
        yield
