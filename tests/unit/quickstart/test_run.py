"""The order of the steps, with MLflow in memory and fakes for the processes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, Self

import pytest
import yaml

from fakes.packages import build_package
from fakes.registry import FakeMlflow
from fakes.squares import write_squares
from handful_core.console import Step
from handful_core.errors import ConfigError, DataError, HandfulError, NotFoundError, ResourceError, UnavailableError
from handful_core.registry import Registry
from handful_quickstart import process, run
from handful_quickstart.plan import Options, Plan, locked_home
from handful_quickstart.run import QuickstartError, Steps, quickstart
from handful_trainer.tasks.detection.settings import DetectionConfig
from support.mlflow_server import free_port


class FakeServers:
    """Servers that are up at once; remembers what was asked of them."""

    def __init__(self) -> None:
        self.events: list[str] = []

    @contextmanager
    def running(self, plan: Plan) -> Iterator[Self]:
        self.events.append("started")
        try:
            yield self
        finally:
            self.events.append("ended")

    def wait_until_up(self) -> None:
        self.events.append("up")

    def check(self) -> None: ...

    def stay(self) -> None:
        self.events.append("stayed")


class World:
    """What is around a quickstart."""

    def __init__(self, folder: Path) -> None:
        self.mlflow = FakeMlflow()
        self.servers = FakeServers()
        self.package = build_package(folder / "package")
        self.trained = 0
        self.promoted = True
        self.failure: HandfulError | None = None
        self.starter_is_whole = True
        self.serves_after = 0
        """Questions that serving answers with an error before it serves the champion."""

    def train(self, plan: Plan, config: DetectionConfig) -> dict[str, Any]:
        self.trained += 1
        if self.failure:
            raise self.failure
        version = self.mlflow.register(self.package, name="squares")
        if self.promoted:
            self.mlflow.point("champion", version, name="squares")
        steps = [("prepare", "26 images"), ("train", "2 epochs"), ("gate", "promoted: no version was champion before")]
        return {
            "reason": "no version was champion before",
            "steps": [{"step": name, "seconds": 1.5, "result": result} for name, result in steps],
        }

    def client(self, address: str) -> FakeServingClient:
        return FakeServingClient(self, address)


class FakeServingClient:
    """The API, which serves the champion of the fake MLflow."""

    def __init__(self, world: World, address: str) -> None:
        self.address = address
        self._world = world

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None: ...

    def predict(self, image: Path, model: str) -> dict[str, Any]:
        if self._world.serves_after:
            self._world.serves_after -= 1
            raise NotFoundError(f"there is no model {model}")
        version = Registry("http://mlflow", transport=self._world.mlflow.transport()).version(model, "champion").version
        detections = [{"name": "1", "confidence": 0.91}]
        return {"version": version, "count": 1, "detections": detections, "timings_ms": {"total": 4.2}}


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    world = World(tmp_path)
    monkeypatch.setattr(run, "Registry", partial(Registry, transport=world.mlflow.transport()))
    monkeypatch.setattr(run, "ServingClient", world.client)
    monkeypatch.setattr(run, "train", world.train)
    monkeypatch.setattr(run, "running_servers", world.servers.running)
    monkeypatch.setattr(run, "reach_local_servers_directly", lambda environment: None)
    monkeypatch.setattr("time.sleep", lambda seconds: None)
    return world


@pytest.fixture
def options(tmp_path: Path) -> Options:
    config = tmp_path / "squares.yaml"
    data = write_squares(tmp_path / "squares")
    content = {"dataset": {"source": "yolo", "path": str(data)}, "mlflow": {"model_name": "squares"}}
    config.write_text(yaml.safe_dump(content))
    (tmp_path / "Procfile").write_text("mlflow: true\n")
    return Options(tmp_path, tmp_path / "var", config, free_port(), free_port(), stay=False)


def test_from_nothing_to_a_served_model(world: World, options: Options, capsys: pytest.CaptureFixture[str]) -> None:
    quickstart(options)
    shown = capsys.readouterr()
    names = [line.split("] ")[1].split(":")[0].strip() for line in shown.err.splitlines() if line.startswith("[")]
    assert names == ["check", "dataset", "servers", "train and register", "train", "gate", "serve", "predict"]
    assert "squares version 1 is served" in shown.err
    assert "predict: 1 of 6 test images counted as labelled, 4 ms each" in shown.err
    assert all(name in shown.out for name in names)
    assert f"http://127.0.0.1:{options.port}/docs" in shown.out
    assert "run it again without --exit" in shown.err, "its servers end"
    assert "another terminal" not in shown.err
    assert world.servers.events == ["started", "up", "ended"]


def test_it_stays_up_unless_told_otherwise(world: World, options: Options) -> None:
    quickstart(replace(options, stay=True))
    assert world.servers.events == ["started", "up", "stayed", "ended"]


@pytest.fixture
def starter(world: World, options: Options, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """A starter model in Handful's folder; what was imported."""
    (options.folder / "models").mkdir()
    (options.folder / "models" / "starter.zip").write_bytes(b"a backup")
    imported: list[str] = []

    class Import:
        def __init__(self, kind: str, arguments: list[str], env: dict[str, str], cwd: Path) -> None:
            imported.extend(arguments[1:3])
            self._code = 0 if world.starter_is_whole else 4
            if world.starter_is_whole:
                name = "leaves" if "leaves" in arguments[2] else "fingers"
                world.mlflow.register(world.package, name=name, aliases=["champion"])

        def output(self) -> bytes:
            return b"{}"

        def wait(self) -> int:
            return self._code

        def stop(self) -> None: ...

    monkeypatch.setattr(process, "ChildProcess", Import)
    return imported


def test_the_starter_model_is_served_before_anything_is_trained(
    world: World, options: Options, starter: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    quickstart(options)
    said = capsys.readouterr().err
    assert starter == ["--as-starter", str(Path("models/starter.zip"))]
    line = f"starter model: served at http://127.0.0.1:{options.port} from now on: fingers (champion)"
    assert said.index(line) < said.index("train and register")


def test_both_starter_models_come_where_both_are_asked_for(
    world: World, options: Options, starter: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    (options.folder / "models" / "leaves.zip").write_bytes(b"a backup")
    quickstart(replace(options, starters=("fingers", "leaves")))
    each = [str(Path("models") / name) for name in ("starter.zip", "leaves.zip")]
    assert starter == ["--as-starter", each[0], "--as-starter", each[1]]
    assert "from now on: fingers (champion) and leaves (champion)" in capsys.readouterr().err


def test_no_starter_model_comes_where_none_is_asked_for(
    world: World, options: Options, starter: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    quickstart(replace(options, starters=()))
    assert starter == []
    assert "starter model" not in capsys.readouterr().err


def test_a_registry_that_has_models_gets_no_starter(
    world: World, options: Options, starter: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    world.mlflow.register(world.package, name="squares", aliases=["champion"])
    quickstart(options)
    assert starter == []
    told = "starter model: the registry has squares already; `handful import models/starter.zip` brings another"
    assert told in capsys.readouterr().err


def test_a_damaged_starter_model_is_told(
    world: World, options: Options, starter: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    world.starter_is_whole = False
    with pytest.raises(QuickstartError, match=r"'starter model' failed: the import of models.* ended with code 4"):
        quickstart(options)
    assert world.trained == 0


def test_a_champion_is_taken_up(world: World, options: Options, capsys: pytest.CaptureFixture[str]) -> None:
    world.mlflow.register(world.package, name="squares", aliases=["champion"])
    quickstart(options)
    assert world.trained == 0
    assert "squares version 1 is champion already; --retrain trains again" in capsys.readouterr().err


def test_a_champion_is_trained_anew_on_demand(world: World, options: Options) -> None:
    world.mlflow.register(world.package, name="squares", aliases=["champion"])
    quickstart(replace(options, retrain=True))
    assert world.trained == 1


def test_a_challenger_that_loses_leaves_the_champion(
    world: World, options: Options, capsys: pytest.CaptureFixture[str]
) -> None:
    world.mlflow.register(world.package, name="squares", aliases=["champion"])
    world.promoted = False
    quickstart(replace(options, retrain=True))
    assert "squares version 1 is served" in capsys.readouterr().err


def test_serving_gets_time_to_take_the_champion_up(world: World, options: Options) -> None:
    world.serves_after = 5
    quickstart(options)
    assert world.serves_after == 0


def test_a_model_that_is_never_served_is_told(
    world: World, options: Options, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run, "_SERVED_SECONDS", 0)
    world.serves_after = 1000
    with pytest.raises(QuickstartError) as caught:
        quickstart(options)
    assert caught.value.exit_code == 1
    assert "the step 'serve' failed: squares version 1 is not served after 0 s (there is no model squares)" in str(
        caught.value
    )
    assert world.servers.events[-1] == "ended"


def test_a_failed_training_is_told_in_the_table(
    world: World, options: Options, capsys: pytest.CaptureFixture[str]
) -> None:
    world.failure = UnavailableError("the training ended with code 5")
    with pytest.raises(QuickstartError, match="the step 'train and register' failed: the training ended with code 5"):
        quickstart(options)
    rows = [line for line in capsys.readouterr().out.splitlines() if "train and register" in line]
    assert len(rows) == 1
    assert "failed" in rows[0]
    assert world.servers.events == ["started", "up", "ended"]


def test_an_interruption_ends_the_servers(
    world: World, options: Options, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(plan: Plan, config: DetectionConfig) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(run, "train", interrupt)
    with pytest.raises(KeyboardInterrupt):
        quickstart(options)
    assert world.servers.events == ["started", "up", "ended"]
    assert "run it again, it takes up what is there" in capsys.readouterr().err


def test_a_wrong_configuration_starts_nothing(world: World, options: Options) -> None:
    options.config.write_text("dataset: {source: yolo, path: nowhere}\ntrainig: {}\n")
    with pytest.raises(ConfigError, match="training"):
        quickstart(options)
    assert world.servers.events == []


def test_a_failed_check_starts_nothing(world: World, options: Options) -> None:
    (options.folder / "Procfile").unlink()
    with pytest.raises(QuickstartError, match="the step 'check' failed"):
        quickstart(options)
    assert world.servers.events == []


def test_a_second_quickstart_in_the_same_home_is_refused_in_one_line(
    world: World, options: Options, capsys: pytest.CaptureFixture[str]
) -> None:
    with locked_home(options.home), pytest.raises(ResourceError) as caught:
        quickstart(options)
    assert str(caught.value) == (
        f"another quickstart is running in {options.home}: use its servers, or stop it with Ctrl-C first, "
        "or set HANDFUL_HOME to another folder"
    )
    assert caught.value.exit_code == 6
    assert capsys.readouterr() == ("", "")
    assert world.servers.events == []


def test_the_home_is_free_again_when_a_quickstart_ends(world: World, options: Options) -> None:
    for _ in range(2):
        quickstart(options)
    assert world.trained == 1


def test_a_step_is_timed_and_told(capsys: pytest.CaptureFixture[str]) -> None:
    steps = Steps()
    with steps.step("dataset") as step:
        step.result = "320 images"
    assert steps.done == [step]
    assert (step.name, step.result) == ("dataset", "320 images")
    assert 0 <= step.seconds < 1
    assert "[1] dataset: 320 images (0.0 s)" in capsys.readouterr().err


@pytest.mark.parametrize("error", [DataError("no image"), OSError(28, "No space left on device")])
def test_a_failure_is_noted_and_goes_on_up(error: Exception) -> None:
    steps = Steps()
    with pytest.raises(type(error)), steps.step("dataset", "waiting"):
        raise error
    assert steps.failed == "dataset"
    assert steps.done[0].result == "failed"


@pytest.mark.parametrize(("train", "title"), [(True, "Quickstart"), (False, "Servers")])
def test_the_table_is_named_after_what_was_asked(
    world: World, options: Options, capsys: pytest.CaptureFixture[str], *, train: bool, title: str
) -> None:
    quickstart(replace(options, train=train))
    assert title in capsys.readouterr().out


def test_the_table_has_every_step(capsys: pytest.CaptureFixture[str]) -> None:
    steps = Steps()
    steps.add(Step("dataset", "320 images", 1.26))
    steps.add(Step("train", "20 epochs", 90))
    steps.show()
    table = capsys.readouterr().out
    assert [word in table for word in ("dataset", "1.3 s", "320 images", "train", "90.0 s", "20 epochs")] == [True] * 6


def test_without_training_the_servers_start_with_what_is_there(
    world: World, options: Options, capsys: pytest.CaptureFixture[str]
) -> None:
    quickstart(replace(options, train=False, stay=True, config=options.folder / "no such file.yaml"))
    names = [line.split("] ")[1].split(":")[0] for line in capsys.readouterr().err.splitlines() if line.startswith("[")]
    assert names == ["check", "servers"]
    assert (world.trained, world.servers.events) == (0, ["started", "up", "stayed", "ended"])
    assert not (options.home / "run" / "servers.json").exists(), "the servers are gone"
