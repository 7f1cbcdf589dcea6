from __future__ import annotations

import sys
from pathlib import Path

import pytest

from handful_quickstart.plan import Plan, reach_local_servers_directly

PLAN = Plan(Path("/handful"), Path("/home dir/var"), Path("configs/sample.yaml"), 8001, 5001)


def test_the_servers_get_their_ports_and_folders() -> None:
    environment = PLAN.environment({})
    assert environment["HANDFUL_SERVING_PORT"] == "8001"
    assert environment["MLFLOW_PORT"] == "5001"
    assert environment["HANDFUL_MLFLOW_URI"] == "http://127.0.0.1:5001"
    assert environment["HANDFUL_SERVER"] == "http://127.0.0.1:8001"
    assert environment["MLFLOW_BACKEND_STORE_URI"] == "sqlite:////home dir/var/mlflow/mlflow.db"
    assert environment["MLFLOW_ARTIFACTS_DESTINATION"] == "/home dir/var/mlflow/artifacts"


def test_nobody_else_can_reach_the_servers() -> None:
    environment = PLAN.environment({"HANDFUL_SERVING_HOST": "10.0.0.1", "MLFLOW_HOST": "10.0.0.1"})
    assert (environment["HANDFUL_SERVING_HOST"], environment["MLFLOW_HOST"]) == ("127.0.0.1", "127.0.0.1")


def test_another_mlflow_of_the_user_is_left_alone() -> None:
    other = "https://mlflow.example"
    environment = PLAN.environment({"MLFLOW_TRACKING_URI": other, "HANDFUL_MLFLOW_URI": other, "LANG": "C"})
    assert "MLFLOW_TRACKING_URI" not in environment
    assert environment["HANDFUL_MLFLOW_URI"] == "http://127.0.0.1:5001"
    assert environment["LANG"] == "C"


@pytest.mark.parametrize(
    "name", ["HANDFUL_BACKUP_DATABASE_URL", "handful_backup_database_url", "HANDFUL_BACKUP_ARTIFACTS"]
)
def test_the_starter_model_goes_into_no_database_of_another_mlflow(name: str) -> None:
    assert name not in PLAN.environment({name: "postgresql://production"})


def test_the_commands_are_those_of_this_installation() -> None:
    assert PLAN.environment({"PATH": "/usr/bin"})["PATH"] == f"{Path(sys.executable).parent}:/usr/bin"
    assert PLAN.environment({})["PATH"] == str(Path(sys.executable).parent)


def test_local_servers_are_reached_without_a_proxy() -> None:
    environment = {"NO_PROXY": "intranet, localhost"}
    reach_local_servers_directly(environment)
    reach_local_servers_directly(environment)
    assert environment == {"NO_PROXY": "intranet,localhost,127.0.0.1", "no_proxy": "127.0.0.1,localhost"}
