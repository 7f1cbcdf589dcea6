"""The split of an earlier run, brought from MLflow: the same images in train, val and test on any machine."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory

from handful_core.console import say
from handful_core.errors import ConfigError, HandfulError, NotFoundError, UnavailableError
from handful_core.registry import CHAMPION, Registry, Version, parse_reference
from handful_trainer.config import load_config
from handful_trainer.dataset.prepared import PreparedDataset
from handful_trainer.dataset.settings import DatasetConfig
from handful_trainer.dataset.splitting.earlier import (
    SPLITS_FILE,
    history_file,
    is_remembered,
    read_splits,
    restore_history,
)

SPLITS_ARTIFACT = f"config/{SPLITS_FILE}"
_CONFIG_ARTIFACT = "config/config.yaml"
_RUNS, _MODELS = "runs:/", "models:/"
_SECONDS = 5
"""That MLflow has to answer where it is not needed."""


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
    try:
        path = _download(run_id, SPLITS_ARTIFACT, home / "splits" / "runs" / run_id, uri)
    except NotFoundError as error:
        raise ConfigError(
            f"dataset.split.keep: the run {run_id} logged no {SPLITS_ARTIFACT}",
            "name a later run, a splits.csv, auto or none",
        ) from error
    return pin_splits(config, str(path))


def bring_back_splits(config: DatasetConfig, model: str, home: Path, uri: str) -> str:
    """Remember the splits that the champion was trained on, where this folder remembers none of the dataset.

    After a loss, or on another machine, a test image would become a training image. Nothing changes where there is no
    champion, or where it was trained on another dataset or another way of sharing out.

    Args:
        config: the dataset's settings.
        model: whose champion it is.
        home: Handful's folder.
        uri: MLflow's address.

    Returns:
        What to tell the user once the dataset is prepared: that MLflow could not be asked. Empty if it was.
    """
    if config.split.keep != "auto" or is_remembered(config, home):
        return ""
    try:
        with suppress(NotFoundError, ConfigError), TemporaryDirectory() as folder:
            number, run_id = _champion(Registry(uri, timeout=_SECONDS, attempts=1), model)
            theirs = load_config(_download(run_id, _CONFIG_ARTIFACT, Path(folder), uri)).dataset
            if history_file(theirs, home) == history_file(config, home):
                restore_history(config, home, _download(run_id, SPLITS_ARTIFACT, Path(folder), uri))
                say(
                    f"images stay in the splits that {model} version {number}, the champion, "
                    "had them in (dataset.split.keep=none shares them out anew)"
                )
    except HandfulError as error:
        return (
            f"{error.message}, so these images were shared out without asking for the splits of {model}'s champion "
            f"(dataset.split.keep=models:/{model}@{CHAMPION} asks for them, or stops)"
        )
    return ""


def warn_of_moved_images(dataset: PreparedDataset, model: str, uri: str) -> int:
    """Tell how many images that tested the champion are trained on now: the gate cannot compare on them.

    Returns:
        So many images; 0, too, if there is no champion, or if it logged no splits.
    """
    here = dataset.root / SPLITS_FILE
    if not here.is_file():
        return 0
    try:
        number, run_id = _champion(Registry(uri), model)
        with TemporaryDirectory() as folder:
            theirs = read_splits(_download(run_id, SPLITS_ARTIFACT, Path(folder), uri))
    except NotFoundError:
        return 0
    ours = read_splits(here)
    tested = [sha256 for sha256, placed in theirs.items() if placed.split == "test" and sha256 in ours]
    moved = sum(ours[sha256].split == "train" for sha256 in tested)
    if moved:
        say(
            f"warning: {moved} of {len(tested)} images that tested {model} version {number}, the champion, "
            f"are trained on now: dataset.split.keep=models:/{model}@{CHAMPION} keeps each in its split"
        )
    return moved


def _champion(registry: Registry, model: str) -> tuple[int, str]:
    """The number of the version that is champion, and the id of the run that made it.

    Raises:
        NotFoundError: there is none.
    """
    with registry:
        return _made_by_run(registry.version(model, CHAMPION))


def _made_by_run(version: Version) -> tuple[int, str]:
    if not version.run_id:
        raise NotFoundError(f"{version.name} version {version.version} was not made by a run", "name a run")
    return version.version, version.run_id


def _download(run_id: str, artifact: str, folder: Path, uri: str) -> Path:
    """Fetch a file that a run logged.

    Raises:
        NotFoundError: it logged none of this name.
        UnavailableError: MLflow does not answer.
    """
    # MLflow takes a second to import, and is needed for nothing else where a dataset is prepared.
    from mlflow.artifacts import download_artifacts
    from mlflow.exceptions import MlflowException

    from handful_trainer.tracking.mlflow_calls import is_transient

    try:
        return Path(download_artifacts(run_id=run_id, artifact_path=artifact, dst_path=str(folder), tracking_uri=uri))
    except (MlflowException, OSError) as error:
        if is_transient(error):
            raise UnavailableError(
                f"MLflow at {uri} does not answer",
                "start it (scripts/serve --embedded), or set HANDFUL_MLFLOW_URI to where it runs",
            ) from error
        raise NotFoundError(f"the run {run_id} logged no {artifact}", "name a later run") from error


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
        return _made_by_run(registry.version(name, selector))[1]
