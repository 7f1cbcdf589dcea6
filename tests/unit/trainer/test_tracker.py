import math
import threading
from pathlib import Path
from typing import Any

import pytest
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import INVALID_PARAMETER_VALUE
from mlflow.utils.validation import _validate_param

from handful_core.errors import UnavailableError
from handful_trainer.tracking.journal import Journal
from handful_trainer.tracking.mlflow_calls import mlflow_name
from handful_trainer.tracking.tracker import Tracker


class Client:
    """MLflow's client, whose server may be away or picky."""

    def __init__(self) -> None:
        self.away = threading.Event()
        self.refused_param = ""
        self.metrics: list[tuple[str, float, int]] = []
        self.params: dict[str, str] = {}

    def log_batch(self, run_id: str, metrics: Any = (), params: Any = (), tags: Any = ()) -> None:
        if self.away.is_set():
            raise MlflowException("the server does not answer")
        if any(param.key == self.refused_param for param in params) or len({p.key for p in params}) < len(params):
            raise MlflowException("changing a parameter", error_code=INVALID_PARAMETER_VALUE)
        self.metrics += [(m.key, m.value, m.step) for m in metrics]
        self.params |= {p.key: p.value for p in params}


def tracker(client: Client, folder: Path) -> Tracker:
    return Tracker(client, "run", Journal(folder / "journal.jsonl"))  # type: ignore[arg-type]


def test_all_that_is_written_arrives_in_order(tmp_path: Path) -> None:
    client = Client()
    run = tracker(client, tmp_path)
    for step in range(20):
        run.metrics({"loss": step / 2}, step)
    run.drain(10)
    assert client.metrics == [("loss", step / 2, step) for step in range(20)]
    assert run.close()


def test_what_json_cannot_say_arrives_too(tmp_path: Path) -> None:
    client = Client()
    run = tracker(client, tmp_path)
    run.metrics({"a": math.nan, "b": math.inf, "c": -math.inf})
    run.drain(10)
    (_, nan, _), (_, inf, _), (_, minus, _) = client.metrics
    assert math.isnan(nan)
    assert (inf, minus) == (math.inf, -math.inf)
    run.close()


def test_more_parameters_than_one_call_takes(tmp_path: Path) -> None:
    client = Client()
    run = tracker(client, tmp_path)
    run.params({f"p{number}": number for number in range(250)} | {"long": "x" * 10_000})
    run.drain(10)
    assert len(client.params) == 251
    assert len(client.params["long"]) == 6000
    run.close()


@pytest.mark.parametrize(
    ("name", "plain"),
    [
        ("hand (left)", "hand _left_"),
        ("main gauche à 5 doigts", "main gauche à 5 doigts"),
        ("a/b", "a/b"),
        ("a//b/", "a/_/b/_"),
        ("../up", "_/up"),
    ],
)
def test_a_name_that_mlflow_would_refuse_takes_no_others_with_it(tmp_path: Path, name: str, plain: str) -> None:
    for key in (f"dataset.counts.{name}", f"test/class/{name}/mAP50"):
        _validate_param(mlflow_name(key), "1")
    assert mlflow_name(name) == plain
    client = Client()
    run = tracker(client, tmp_path)
    run.params({name: 1, "imgsz": 640})
    run.drain(10)
    assert client.params == {plain: "1", "imgsz": "640"}
    run.close()


def test_two_names_that_become_one_are_logged_once(tmp_path: Path) -> None:
    client = Client()
    run = tracker(client, tmp_path)
    run.params({"hand (left)": 1, "hand [left]": 2})
    run.drain(10)
    assert client.params == {"hand _left_": "2"}
    run.close()


def test_a_lost_server_is_told_later(tmp_path: Path) -> None:
    client = Client()
    client.away.set()
    run = tracker(client, tmp_path)
    run.metrics({"loss": 1.0})
    with pytest.raises(UnavailableError, match="nothing is lost"):
        run.drain(0.2)
    client.away.clear()
    run.drain(20)
    assert client.metrics == [("loss", 1.0, 0)]
    run.close()


def test_a_later_process_sends_what_was_left(tmp_path: Path) -> None:
    client = Client()
    client.away.set()
    first = tracker(client, tmp_path)
    first.metrics({"loss": 1.0})
    assert not first.close(0.1)
    client.away.clear()
    second = tracker(client, tmp_path)
    second.metrics({"loss": 2.0}, 1)
    second.drain(10)
    assert client.metrics == [("loss", 1.0, 0), ("loss", 2.0, 1)]
    second.close()


def test_a_damaged_line_holds_nothing_up(tmp_path: Path) -> None:
    (tmp_path / "journal.jsonl").write_text('{"kind": "met{"kind": "tags"}\n')
    client = Client()
    run = tracker(client, tmp_path)
    run.metrics({"loss": 1.0})
    run.drain(10)
    assert client.metrics == [("loss", 1.0, 0)]
    run.close()


def test_what_mlflow_never_takes_holds_nothing_up(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    client = Client()
    client.refused_param = "picky"
    run = tracker(client, tmp_path)
    run.params({"picky": 1})
    run.artifact(tmp_path / "gone")
    run.metrics({"loss": 1.0})
    run.drain(10)
    assert client.metrics == [("loss", 1.0, 0)]
    assert "refused params" in caplog.text
    run.close()
