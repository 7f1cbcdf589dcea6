"""The split of an earlier run, brought from MLflow: the same images in train, val and test on any machine."""

from __future__ import annotations

from pathlib import Path

from mlflow.artifacts import download_artifacts
from mlflow.exceptions import MlflowException

from handful_core.errors import ConfigError, NotFoundError, UnavailableError
from handful_core.registry import Registry, parse_reference
from handful_trainer.dataset.settings import DatasetConfig
from handful_trainer.dataset.splitting.earlier import SPLITS_FILE
from handful_trainer.tracking.mlflow_calls import is_transient

SPLITS_ARTIFACT = f"config/{SPLITS_FILE}"
_RUNS, _MODELS = "runs:/", "models:/"


def fetch_splits(config: DatasetConfig, home: Path, uri: str) -> DatasetConfig:
    """The same settings, with a run or version in `split.keep` replaced by the file that it logged.

    Args:
        config: the dataset's settings.
        home: Handful's folder; the file goes to `splits` in it.
        uri: MLflow's address.

    Raises:
        ConfigError: there is no such run or version, or it logged no splits.
        UnavailableError: MLflow does not answer.
    """
    keep = config.split.keep
    if not keep.startswith((_RUNS, _MODELS)):
        return config
    run_id = keep.removeprefix(_RUNS) if keep.startswith(_RUNS) else find_run(uri, keep)
    folder = home / "splits" / "runs" / run_id
    try:
        path = download_artifacts(
            run_id=run_id, artifact_path=SPLITS_ARTIFACT, dst_path=str(folder), tracking_uri=uri
        )  # fmt: skip
    except (MlflowException, OSError) as error:
        if is_transient(error):
            raise UnavailableError(f"MLflow at {uri} does not answer", "start it, or set HANDFUL_MLFLOW_URI") from error
        raise ConfigError(
            f"dataset.split.keep: the run {run_id} logged no {SPLITS_ARTIFACT}",
            "name a later run, a splits.csv, auto or none",
        ) from error
    return pin_splits(config, path)


def pin_splits(config: DatasetConfig, keep: str) -> DatasetConfig:
    """The same settings with another `split.keep`."""
    return config.model_copy(update={"split": config.split.model_copy(update={"keep": keep})})


def run_reference(run_id: str) -> str:
    """What `split.keep` calls the splits of a run."""
    return f"{_RUNS}{run_id}"


def find_run(uri: str, reference: str) -> str:
    """The id of a run, named by itself or by a registered version (models:/NAME@ALIAS, models:/NAME/VERSION).

    Raises:
        NotFoundError: the version has no run.
    """
    if not reference.startswith(_MODELS):
        return reference
    name, selector = parse_reference(reference)
    with Registry(uri) as registry:
        version = registry.version(name, selector)
    if not version.run_id:
        raise NotFoundError(f"{name} version {version.version} was not made by a run", "name a run")
    return version.run_id
