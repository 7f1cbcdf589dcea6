"""Which training is begun, and which one is gone on with."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from handful_core.errors import HandfulError
from handful_quickstart import process as process_module
from handful_quickstart.plan import Plan
from handful_quickstart.run import train
from handful_trainer.dataset.settings import DatasetConfig
from handful_trainer.pipeline.run_folder import RunState, create_run
from handful_trainer.tasks.detection.settings import DetectionConfig

CONFIG = DetectionConfig(dataset=DatasetConfig(source="sample"))


class FakeProcess:
    """A training that ends at once."""

    code = 0
    arguments: tuple[str, ...] = ()
    stopped = False

    def __init__(self, kind: str, arguments: list[str], env: dict[str, str], cwd: Path) -> None:
        type(self).arguments = tuple(arguments)

    def output(self) -> bytes:
        return b'{"reason": "no version was champion before"}'

    def wait(self) -> int:
        return self.code

    def stop(self) -> None:
        type(self).stopped = True


@pytest.fixture
def process(monkeypatch: pytest.MonkeyPatch) -> type[FakeProcess]:
    class Process(FakeProcess): ...

    monkeypatch.setattr(process_module, "ChildProcess", Process)
    return Process


@pytest.fixture
def plan(tmp_path: Path) -> Plan:
    return Plan(tmp_path, tmp_path / "var", Path("configs/sample.yaml"), 8000, 5000)


def _interrupt(plan: Plan, config: DetectionConfig = CONFIG, **state: Any) -> Path:
    folder = create_run(plan.home, "run", config)
    folder.save(RunState(run_id="1", dataset=plan.home / "datasets", **state))
    return folder.path


def test_a_training_is_begun(plan: Plan, process: type[FakeProcess]) -> None:
    assert train(plan, CONFIG) == {"reason": "no version was champion before"}
    assert process.arguments == ("train", "--config", "configs/sample.yaml", "--json")
    assert process.stopped


def test_one_that_was_interrupted_is_gone_on_with(
    plan: Plan, process: type[FakeProcess], capsys: pytest.CaptureFixture[str]
) -> None:
    folder = _interrupt(plan)
    train(plan, CONFIG)
    assert process.arguments == ("train", "--resume", "--run", str(folder), "--json")
    assert f"going on with the training {folder.name}, which was interrupted" in capsys.readouterr().err


def test_one_that_began_with_a_registered_model_is_gone_on_with(
    plan: Plan, process: type[FakeProcess], monkeypatch: pytest.MonkeyPatch
) -> None:
    def began_with(pretrained: str) -> DetectionConfig:
        return CONFIG.model_copy(update={"model": CONFIG.model.model_copy(update={"pretrained": pretrained})})

    exact = began_with("models:/fingers/1")
    monkeypatch.setattr("handful_quickstart.run.resolve_alias", lambda config, uri: exact)
    folder = _interrupt(plan, exact)  # A run notes the version that the alias stood for.
    train(plan, began_with("models:/fingers@champion"))
    assert process.arguments == ("train", "--resume", "--run", str(folder), "--json")


def test_retrain_begins_anew(plan: Plan, process: type[FakeProcess]) -> None:
    _interrupt(plan)
    train(replace(plan, retrain=True), CONFIG)
    assert "--resume" not in process.arguments


def test_one_that_ended_is_not_gone_on_with(plan: Plan, process: type[FakeProcess]) -> None:
    _interrupt(plan, finished=True)
    train(plan, CONFIG)
    assert "--resume" not in process.arguments


def test_one_with_other_settings_is_not_gone_on_with(plan: Plan, process: type[FakeProcess]) -> None:
    _interrupt(plan, DetectionConfig(dataset=DatasetConfig(source="sample", seed=1)))
    train(plan, CONFIG)
    assert "--resume" not in process.arguments


def test_a_damaged_one_is_not_gone_on_with(plan: Plan, process: type[FakeProcess]) -> None:
    (_interrupt(plan) / "state.json").write_text("{")
    train(plan, CONFIG)
    assert "--resume" not in process.arguments


def test_a_failure_is_told(plan: Plan, process: type[FakeProcess]) -> None:
    process.code = 8
    with pytest.raises(HandfulError, match="ended with code 8: its own line above says why; --retrain begins anew"):
        train(plan, CONFIG)
    assert process.stopped
