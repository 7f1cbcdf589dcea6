"""A training's folder: what must outlive a crash so that it can go on."""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock, Timeout
from pydantic import BaseModel, ValidationError

from handful_core.errors import ConfigError, DataError, NotFoundError, ResourceError
from handful_core.files import move_folder, write_atomically
from handful_core.package import SeenImages, SeenList
from handful_core.package.seen import read_seen
from handful_trainer.config import TrainingConfig, load_config, to_yaml

SEEN_BEFORE = "seen_before.csv"
"""What the weights that a training begins with had seen."""
_CONFIG, _LOCK = "config.yaml", "lock"


class RunState(BaseModel):
    """`state.json`: how far a training got."""

    run_id: str
    """The MLflow run."""
    dataset: Path
    """Folder of the prepared dataset."""
    recipe: str = ""
    """See `recipe_of`; empty in folders of before it was written down."""
    seen_before: SeenList | None = None
    """The list, in this folder, of what the weights that it began with had seen; None in folders of before there was
    one."""
    trained: bool = False
    train_only: bool = False
    """Whether the way ends with the weights: other commands do the rest."""
    register_version: bool = True
    """Whether the way goes on to the registry and the gate."""
    version: int | None = None
    """The registered version, once there is one."""
    finished: bool = False


@dataclass(frozen=True, slots=True)
class RunFolder:
    """A folder below `<home>/runs`."""

    path: Path

    @property
    def config(self) -> Path:
        """The resolved configuration."""
        return self.path / _CONFIG

    @property
    def package(self) -> Path:
        """The model package. MLflow keeps this last part of the name: see PACKAGE_PATH."""
        return self.path / "package"

    @property
    def evaluation(self) -> Path:
        """Metrics and pictures of the test split."""
        return self.path / "evaluation"

    @property
    def environment(self) -> Path:
        """What the training ran with: packages, changes of the code."""
        return self.path / "environment"

    @property
    def report(self) -> Path:
        """What MLflow gets of the dataset's report."""
        return self.path / "report"

    @property
    def began(self) -> float:
        """When the training began, in seconds as of `time.time()`."""
        return self.config.stat().st_mtime

    @property
    def journal(self) -> Path:
        """What goes to MLflow."""
        return self.path / "journal.jsonl"

    def seen_before(self) -> SeenImages | None:
        """What the weights that the training began with had seen; None where it was not written down."""
        listed = self.state().seen_before
        return None if listed is None else read_seen(self.path, listed)

    @property
    def _state(self) -> Path:
        return self.path / "state.json"

    def save(self, state: RunState) -> None:
        """Write the state in one step."""
        write_atomically(self._state, state.model_dump_json(indent=2), durable=True)

    def state(self) -> RunState:
        """Read the state.

        Raises:
            DataError: it is not there or damaged.
        """
        try:
            return RunState.model_validate_json(self._state.read_text(encoding="utf-8"))
        except (OSError, ValidationError) as error:
            raise DataError(
                f"{self.path} is not a training that can go on", "start it anew without --resume"
            ) from error

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Keep a second process from going on with the same training.

        Raises:
            ResourceError: another process works in this folder.
        """
        lock = FileLock(self.path / _LOCK, timeout=0)
        try:
            with lock:
                yield
        except Timeout:
            raise ResourceError(
                f"the training {self.path} is running already", "wait for it or stop it first"
            ) from None


def create_run(home: Path, name: str, config: TrainingConfig) -> RunFolder:
    """A new run folder with the configuration in it; a name that is taken gets a number."""
    plain = "".join(c if c.isalnum() or c in "._-" else "-" for c in name).strip(".") or "run"
    for number in itertools.count(1):
        path = home / "runs" / (plain if number == 1 else f"{plain}-{number}")
        with contextlib.suppress(FileExistsError):
            path.mkdir(parents=True)
            break
    folder = RunFolder(path.resolve())
    folder.config.write_text(to_yaml(config), encoding="utf-8")
    return folder


def recipe_of(config: TrainingConfig, fingerprint: str) -> str:
    """A digest of what decides which weights come of a training: its settings, and the dataset's fingerprint."""
    settings = config.model_dump(mode="json", include={"model", "training", "augmentation"})
    return hashlib.sha256(json.dumps([config.task, settings, fingerprint], sort_keys=True).encode()).hexdigest()


def unfinished_of(home: Path, recipe: str) -> RunFolder | None:
    """The newest training that did not end and was to become the same; None if there is none."""
    for folder in _newest_first(home):
        with contextlib.suppress(DataError):  # A damaged one cannot go on.
            state = folder.state()
            if state.recipe == recipe and not state.finished:
                return folder
    return None


def move_run(folder: RunFolder, place: Path) -> RunFolder:
    """Bring the folder of a training that ended to where it was asked for.

    Raises:
        ResourceError: something lies there.
        OSError: there is no room for it. It stays where it is.
    """
    check_place(place)
    (folder.path / _LOCK).unlink(missing_ok=True)
    move_folder(folder.path, place)
    return RunFolder(place.resolve())


def check_place(place: Path) -> None:
    """Refuse a place where something lies, before hours of training.

    Raises:
        ResourceError: something lies there.
    """
    if place.exists():
        raise ResourceError(f"{place} exists already", "name a new folder, or remove it")


def unfinished_run(home: Path) -> RunFolder:
    """The newest training that did not end.

    Raises:
        NotFoundError: there is none.
    """
    for folder in _newest_first(home):
        if not folder.state().finished:
            return folder
    raise NotFoundError(f"there is no unfinished training in {home / 'runs'}", "start one without --resume")


def _newest_first(home: Path) -> Iterator[RunFolder]:
    states = sorted((home / "runs").glob("*/state.json"), key=lambda path: path.stat().st_mtime, reverse=True)
    return (RunFolder(state.parent.resolve()) for state in states)


def open_run(path: Path) -> tuple[RunFolder, TrainingConfig]:
    """A run folder and its configuration.

    Raises:
        ConfigError: there is none.
    """
    folder = RunFolder(path.resolve())
    if not folder.config.is_file():
        raise ConfigError(f"{path} is no folder of a training", "name one of those in runs in HANDFUL_HOME")
    return folder, load_config(folder.config)
