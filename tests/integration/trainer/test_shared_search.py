"""A search that several workers share by a real Postgres: no trial twice, and a killed worker's again."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.trial import Trial, TrialState

from handful_core.errors import ConfigError, UnavailableError
from handful_trainer.config import TrainingConfig
from handful_trainer.tasks.detection.settings import DetectionConfig
from handful_trainer.tuning import SearchConfig, storage, study
from handful_trainer.tuning.storage import SharedStorage, open_shared
from support.mlflow_server import free_port
from support.postgres import Postgres, find_programs

SPACES = {"search": {"training.batch": {"choices": [4, 8, 16]}, "training.seed": {"low": 0, "high": 1}}}


@pytest.fixture(scope="module")
def postgres() -> Iterator[Postgres]:
    programs = find_programs()
    if programs is None:
        pytest.skip("Postgres is not installed: no shared search was tested")
    server = Postgres(programs).start()
    yield server
    server.stop()


@pytest.fixture
def file(postgres: Postgres, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(storage, "_BEAT_SECONDS", 1)
    monkeypatch.setattr(storage, "_STALE_SECONDS", 3)
    monkeypatch.setattr(study, "_POLL", 0.2)
    found = tmp_path / "url"
    found.write_text(postgres.make("sweeps").replace("+psycopg2", "") + "\n")
    return found


class Acted:
    """Trainings that are acted: they take a moment, and the score is the batch."""

    def __init__(self) -> None:
        self.trained: dict[str, list[dict[str, Any]]] = {}

    def __call__(
        self, trial: Trial, made: TrainingConfig, values: dict[str, Any], context: object
    ) -> tuple[TrialState, float]:
        del trial, context
        self.trained.setdefault(threading.current_thread().name, []).append(values)
        time.sleep(0.3)
        return TrialState.COMPLETE, float(made.training.batch)


@pytest.fixture
def acted(monkeypatch: pytest.MonkeyPatch) -> Acted:
    found = Acted()
    monkeypatch.setattr(study, "train_trial", found)
    return found


def _work(file: Path, trials: int) -> optuna.Study:
    config = DetectionConfig.model_validate({"dataset": {"source": "sample"}})
    search = SearchConfig.model_validate(SPACES).fitted(config)
    own = open_shared(file)
    found = study._open(own, "hands", 0)
    study._Search(config, search, None, own).go_on(found, trials)  # type: ignore[arg-type]
    return found


def test_workers_that_begin_together_share_the_trials(file: Path, acted: Acted) -> None:
    failed: list[BaseException] = []

    def work() -> None:
        try:
            _work(file, 6)
        except BaseException as error:
            failed.append(error)
            raise

    threads = [threading.Thread(target=work, name=f"worker-{number}") for number in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert not failed
    assert set(acted.trained) == {"worker-0", "worker-1", "worker-2"}, "each did some"
    found = _work(file, 6)
    ended = [trial for trial in found.trials if trial.state == TrialState.COMPLETE]
    assert len({tuple(trial.params.items()) for trial in ended}) == 6
    assert sum(len(each) for each in acted.trained.values()) == len(ended)
    assert found.best_params["training.batch"] == 16


def test_a_killed_workers_trial_is_trained_by_another(file: Path, acted: Acted) -> None:
    config = DetectionConfig.model_validate({"dataset": {"source": "sample"}})
    killed = open_shared(file)  # It shows a sign of life with its trial, and none after that.
    abandoned = study._open(killed, "hands", 0)
    trial = killed.ask(abandoned)
    wanted = SearchConfig.model_validate(SPACES).fitted(config).values(trial)
    found = _work(file, 6)
    assert found.trials[trial.number].state == TrialState.FAIL
    assert wanted in [values for each in acted.trained.values() for values in each]
    assert sum(each.state == TrialState.COMPLETE for each in found.trials) == 6


def test_a_worker_that_lives_keeps_its_trial(file: Path) -> None:
    own = open_shared(file)
    found = study._open(own, "hands", 0)
    trial = own.ask(found)
    other = open_shared(file)
    with own.at_work(trial):
        time.sleep(4.5)  # Longer than a silent one has.
        other.take_up_killed(study._open(other, "hands", 0))
    assert found.trials[trial.number].state == TrialState.RUNNING


@pytest.mark.parametrize("text", ["", "no url", "sqlite:///a.db", "mysql://a@b/c"])
def test_a_file_without_a_postgres(tmp_path: Path, text: str) -> None:
    (tmp_path / "url").write_text(text)
    with pytest.raises(ConfigError, match="write postgresql://"):
        open_shared(tmp_path / "url")
    with pytest.raises(ConfigError, match="cannot be read"):
        open_shared(tmp_path / "other")


def test_a_postgres_that_is_away(tmp_path: Path) -> None:
    (tmp_path / "url").write_text(f"postgresql://a:secret@127.0.0.1:{free_port()}/b")
    with pytest.raises(UnavailableError, match="does not let us in") as caught:
        open_shared(tmp_path / "url")
    assert "secret" not in str(caught.value)


def test_only_one_at_a_time(file: Path) -> None:
    first, second = open_shared(file), open_shared(file)
    seen: list[str] = []

    def wait(own: SharedStorage) -> None:
        with own.alone():
            seen.append("second")

    with first.alone():
        thread = threading.Thread(target=wait, args=(second,))
        thread.start()
        time.sleep(0.5)
        seen.append("first")
    thread.join(10)
    assert seen == ["first", "second"]
