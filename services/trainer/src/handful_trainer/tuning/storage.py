"""Where a search keeps its trials: in a file of one worker's, or in a Postgres that several workers share."""

from __future__ import annotations

import os
import threading
import warnings
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from optuna.exceptions import ExperimentalWarning
from optuna.storages import BaseStorage, JournalStorage, RDBStorage, fail_stale_trials
from optuna.storages.journal import JournalFileBackend
from optuna.study import Study
from optuna.trial import FrozenTrial, Trial, TrialState

from handful_core.console import say
from handful_core.errors import ConfigError, UnavailableError

if TYPE_CHECKING:
    from sqlalchemy.engine import URL, Engine

_ADDED = "handful.enqueued_again"
_LOCK = 0x68616E64  # "hand": of Postgres' advisory locks, which all programs share.
_BEAT_SECONDS, _STALE_SECONDS = 10, 60
"""A worker says so often that it lives; one that has not for so long is taken for killed."""


class TrialStorage(Protocol):
    """Where a search keeps its trials."""

    @property
    def optuna(self) -> BaseStorage:
        """As Optuna takes it."""

    @property
    def worker(self) -> int:
        """Number of this worker: no two suggest the same."""

    def alone(self) -> AbstractContextManager[object]:
        """While it lasts, no other worker does what needs it."""

    def ask(self, study: Study) -> Trial:
        """The next trial."""

    def at_work(self, trial: Trial) -> AbstractContextManager[object]:
        """While it lasts, the trial is this worker's."""

    def take_up_killed(self, study: Study) -> None:
        """Give up the trials that killed workers left running, and queue their settings."""

    def running(self, study: Study) -> list[FrozenTrial]:
        """Trials that other workers are at."""


class OwnStorage:
    """A file. Only one process has it: what runs in it is what a kill left.

    Args:
        path: of the file.
    """

    worker = 0

    def __init__(self, path: Path) -> None:
        self.optuna = JournalStorage(JournalFileBackend(str(path)))

    def alone(self) -> AbstractContextManager[object]:
        """Nothing: the search's folder is locked."""
        return nullcontext()

    def ask(self, study: Study) -> Trial:
        """The next one."""
        return study.ask()

    def at_work(self, trial: Trial) -> AbstractContextManager[object]:
        """Nothing: there are no others."""
        del trial
        return nullcontext()

    def take_up_killed(self, study: Study) -> None:
        """All that run."""
        for trial in study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
            study.tell(trial.number, state=TrialState.FAIL)
            _queue_again(study, trial)

    def running(self, study: Study) -> list[FrozenTrial]:
        """None."""
        del study
        return []


class SharedStorage:
    """A Postgres, by Optuna's own tables. Workers tell it that they live; who stops is taken for killed.

    Args:
        url: of the database.
        worker: number of this worker.

    Raises:
        UnavailableError: it does not answer, or does not let us in.
    """

    def __init__(self, url: URL, worker: int = 0) -> None:
        import sqlalchemy as sa

        self.worker = worker
        words = url.render_as_string(hide_password=False)
        options = {"pool_pre_ping": True, "connect_args": {"connect_timeout": 10}}
        self._engine: Engine = sa.create_engine(words, **options)
        try:
            # Workers that begin together would make the tables together, which Postgres refuses.
            with self.alone(), warnings.catch_warnings():
                warnings.simplefilter("ignore", ExperimentalWarning)
                self.optuna = RDBStorage(
                    words,
                    engine_kwargs=options,
                    heartbeat_interval=_BEAT_SECONDS,
                    grace_period=_STALE_SECONDS,
                    heartbeat_stale_trial_callback=_queue_again,
                )
        except sa.exc.OperationalError as error:
            said = str(error.orig).strip().splitlines()[0]
            raise UnavailableError(f"the search's Postgres does not let us in ({said})", "correct its URL") from error

    @contextmanager
    def alone(self) -> Iterator[None]:
        """By a lock of Postgres', which ends with the connection: a killed worker keeps nobody out."""
        import sqlalchemy as sa

        with self._engine.connect() as connection:
            connection.execute(sa.select(sa.func.pg_advisory_lock(_LOCK)))
            try:
                yield
            finally:
                connection.execute(sa.select(sa.func.pg_advisory_unlock(_LOCK)))

    def ask(self, study: Study) -> Trial:
        """The next one, with a first sign of life: a trial that has none is never taken for a killed worker's."""
        with warnings.catch_warnings():
            # Optuna warns of who asks and sends no signs of life. We do, in `at_work`.
            warnings.filterwarnings("ignore", "Heartbeat of storage")
            trial = study.ask()
        self.optuna.record_heartbeat(trial._trial_id)
        return trial

    @contextmanager
    def at_work(self, trial: Trial) -> Iterator[None]:
        """Tell in a thread that this worker lives."""
        ended = threading.Event()
        thread = threading.Thread(target=self._beat, args=(trial, ended), daemon=True)
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join()

    def _beat(self, trial: Trial, ended: threading.Event) -> None:
        import sqlalchemy as sa

        while True:
            try:
                self.optuna.record_heartbeat(trial._trial_id)
            except sa.exc.SQLAlchemyError as error:  # Postgres restarts: the next one may come through.
                say(f"warning: the search's Postgres does not answer ({type(error).__name__})")
            if ended.wait(_BEAT_SECONDS):
                return

    def take_up_killed(self, study: Study) -> None:
        """Those whose worker is silent."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ExperimentalWarning)
            fail_stale_trials(study)

    def running(self, study: Study) -> list[FrozenTrial]:
        """All that run: between two of its own a worker has none."""
        return study.get_trials(deepcopy=False, states=(TrialState.RUNNING,))


def _queue_again(study: Study, trial: FrozenTrial) -> None:
    if trial.params:
        study.enqueue_trial(trial.params, user_attrs={_ADDED: trial.number})


def open_shared(file: Path) -> SharedStorage:
    """The database whose URL is in a file: with its password it belongs into no environment and no command line.

    Raises:
        ConfigError: the file cannot be read, or names no Postgres.
        UnavailableError: Postgres does not answer.
    """
    from sqlalchemy.engine import make_url
    from sqlalchemy.exc import ArgumentError

    try:
        url = make_url(file.read_text(encoding="utf-8").strip())
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{file} cannot be read ({type(error).__name__})", "name the file with the URL") from error
    except ArgumentError:
        raise ConfigError(f"{file} holds no URL", "write postgresql://USER:PASSWORD@HOST/DATABASE into it") from None
    if url.get_backend_name() not in {"postgresql", "postgres"}:
        raise ConfigError(f"{file} names no Postgres", "write postgresql://USER:PASSWORD@HOST/DATABASE into it")
    # A Job's pods are numbered; elsewhere a process is as good.
    worker = int(os.environ.get("JOB_COMPLETION_INDEX") or os.getpid())
    return SharedStorage(url.set(drivername="postgresql+psycopg2"), worker)
