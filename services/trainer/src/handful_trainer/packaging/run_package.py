"""A package made from a training's folder, apart from the training."""

from __future__ import annotations

from pathlib import Path

from handful_core.errors import ConfigError, DataError
from handful_trainer.config import TrainingConfig
from handful_trainer.dataset.prepared import PreparedDataset
from handful_trainer.packaging.build import BuiltPackage, build_package
from handful_trainer.pipeline.job import TrainingJob
from handful_trainer.pipeline.run_folder import RunFolder, open_run, recipe_of
from handful_trainer.pipeline.weights import seen_before


def package_run(
    run: Path, folder: Path, home: Path, uri: str, *, config: TrainingConfig | None = None, data: Path | None = None
) -> BuiltPackage:
    """Export, check and evaluate what a training left, as `handful train` does; the training's folder stays as it is.

    Args:
        run: the training's folder.
        folder: where `package` is made.
        home: Handful's folder.
        uri: MLflow's address; asked only about trainings of before 0.2 that began with a registered model.
        config: says how it is packaged and what it is called; the training's own configuration if not given.
        data: the prepared dataset; where it was at the training if not given.

    Raises:
        DataError: the training did not come to its end.
        ConfigError: these are not the settings or the dataset that the weights come from.
        RefusedError: the package answers otherwise than the weights.
    """
    trained, own = open_run(run)
    state = trained.state()
    if not state.trained:
        raise DataError(f"the training in {run} has not ended", f"go on with it: handful train --resume --run {run}")
    dataset = PreparedDataset.open(data or state.dataset)
    asked = _repackaged(own, config) if config else own
    if state.recipe and state.recipe != recipe_of(asked, dataset.fingerprint):
        raise ConfigError(
            f"the weights in {run} come from another dataset or from other settings of model, training or augmentation",
            "train again, or name the configuration and the dataset of that training",
        )
    job = TrainingJob(asked, dataset, RunFolder(folder), home, uri)
    job.engine.configure(home)
    base = trained.seen_before() or seen_before(own, job.engine, uri)
    return build_package(job, job.engine.best_weights(trained.path), state.run_id, base=base)


def _repackaged(own: TrainingConfig, asked: TrainingConfig) -> TrainingConfig:
    """A configuration whose weights to begin with are, as an alias, those that the training found there."""
    if asked.task != own.task:
        raise ConfigError(f"the training was for the task {own.task}, the configuration is for {asked.task}")
    name, alias, _ = str(asked.model.pretrained).partition("@")
    if alias and name == str(own.model.pretrained).rpartition("/")[0]:
        model = asked.model.model_copy(update={"pretrained": own.model.pretrained})
        return asked.model_copy(update={"model": model})
    return asked
