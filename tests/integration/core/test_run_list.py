"""`handful runs` against a real MLflow."""

from __future__ import annotations

import json
import uuid

import pytest
from mlflow.tracking import MlflowClient

from handful_core import console
from handful_core.cli.main import main


def run(*words: str) -> int:
    with pytest.raises(SystemExit) as ended:
        main(["runs", *words])
    return int(ended.value.code or 0)


def test_the_newest_runs_come_first(
    mlflow_server: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("HANDFUL_MLFLOW_URI", mlflow_server)
    monkeypatch.setattr(console.out, "width", 250)
    client, name = MlflowClient(mlflow_server), f"runs-{uuid.uuid4().hex[:8]}"
    experiment = client.create_experiment(name)
    for number in range(3):
        made = client.create_run(experiment, start_time=1_000_000 * (number + 1), run_name=f"run-{number}")
        client.log_metric(made.info.run_id, "test/mAP50_95", 0.5 + number / 10)
        client.log_metric(made.info.run_id, "test/class/5/f1", 0.1)
        client.log_metric(made.info.run_id, "odd", float("nan"))
        if number:
            client.set_terminated(made.info.run_id, "FAILED", 1_000_000 * (number + 1) + 3_723_000)
    capsys.readouterr()  # What the client said.
    assert run("--experiment", name, "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert [each["name"] for each in found] == ["run-2", "run-1", "run-0"]
    assert found[0]["metrics"] == {"test/mAP50_95": 0.7, "test/class/5/f1": 0.1}
    assert [each["status"] for each in found] == ["FAILED", "FAILED", "RUNNING"]
    assert run("--experiment", name, "--limit", "1") == 0
    shown = capsys.readouterr().out
    assert "run-2" in shown
    assert "run-1" not in shown
    assert "1:02:03" in shown
    assert "mAP50_95 0.700" in shown
    assert "class/5" not in shown
    assert run() == 0
    assert name in capsys.readouterr().out
    assert run("--experiment", "nobody") == 7
    assert "MLflow has no experiment nobody" in capsys.readouterr().err
