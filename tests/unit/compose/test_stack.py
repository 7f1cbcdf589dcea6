"""Starting and stopping: the order, and what is left when it fails."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from compose.errors import CONFIG, INTERRUPTED, ComposeError
from compose.stack import ContainerJob, down, run_job, up
from fakes.docker import FakeDockerCli
from support.mlflow_server import free_port

_TRAIN = ContainerJob("trainer", "train", built_by="trainer")
_UP = ("up", "--wait", "--wait-timeout", "600")


def test_a_first_start_makes_settings_secrets_and_the_folder_of_exports(engine: FakeDockerCli, root: Path) -> None:
    up(engine, root)
    assert engine.calls == [("build",), _UP]
    assert (root / "backups").is_dir()
    assert not (root / "x").exists()
    assert sorted(path.name for path in (root / "secrets").iterdir())[0] == "postgres_password"
    user = next(line for line in (root / ".env").read_text().splitlines() if line.startswith("HANDFUL_UID="))
    assert user == f"HANDFUL_UID={getattr(os, 'getuid', int)() or 10001}", (
        "exports belong to who runs this, never to root"
    )


def test_a_profile_is_built_and_started_with_the_stack(
    engine: FakeDockerCli, root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    port = {"host_ip": "127.0.0.1", "target": 3000, "published": str(free_port())}
    engine.stack["services"]["grafana"] = {"image": "grafana", "profiles": ["monitoring"], "ports": [port]}
    up(engine, root, profiles=("monitoring",))
    profile = ("--profile", "monitoring")
    assert engine.calls == [(*profile, "build"), (*profile, *_UP)]
    said = "".join(capsys.readouterr())
    assert f"Grafana: http://127.0.0.1:{port['published']}/" in said
    assert "docker compose exec grafana cat /run/secrets/grafana/grafana_password" in said


def test_the_ports_of_a_profile_that_does_not_start_may_be_taken(engine: FakeDockerCli, root: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = {"host_ip": "127.0.0.1", "target": 3000, "published": str(taken.getsockname()[1])}
        engine.stack["services"]["grafana"] = {"image": "grafana", "profiles": ["monitoring"], "ports": [port]}
        up(engine, root)
        with pytest.raises(ComposeError, match="set GRAFANA_PORT"):
            up(engine, root, profiles=("monitoring",))


def test_settings_that_are_there_stay(engine: FakeDockerCli, root: Path) -> None:
    (root / ".env").write_text("mine")
    up(engine, root)
    assert (root / ".env").read_text() == "mine"


def test_placeholders_stop_it_before_anything_is_made(engine: FakeDockerCli, root: Path) -> None:
    (root / "secrets").mkdir()
    (root / "secrets" / "s3_secret_key").write_text("changeme")
    with pytest.raises(ComposeError, match="s3_secret_key is a placeholder"):
        up(engine, root)
    assert engine.calls == []
    assert not (root / ".env").exists()
    assert not (root / "secrets" / "postgres_password").exists()


def test_a_lost_password_of_a_database_that_is_there(engine: FakeDockerCli, root: Path) -> None:
    engine.volumes.add("handful_postgres-data")
    with pytest.raises(ComposeError, match="postgres_password is gone, but the database") as refused:
        up(engine, root)
    assert refused.value.exit_code == CONFIG
    assert engine.calls == []


def test_images_that_cannot_be_built_start_nothing(engine: FakeDockerCli, root: Path) -> None:
    engine.codes["build"] = 17
    with pytest.raises(ComposeError, match="could not be built"):
        up(engine, root)
    assert engine.calls == [("build",)]


def test_a_failed_start_says_why_and_stops_all(
    engine: FakeDockerCli, root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    engine.codes["up"] = 1
    well = {"Name": "h-postgres-1", "Service": "postgres", "State": "exited", "ExitCode": 0}
    engine.running = [well, {"Name": "h-mlflow-1", "Service": "mlflow", "State": "exited", "ExitCode": 1}]
    with pytest.raises(ComposeError, match="all is stopped again, the data is kept"):
        up(engine, root, build=False)
    assert engine.calls == [_UP, ("down",)]
    assert "error: mlflow: h-mlflow-1 said so\n" in capsys.readouterr().err


def test_a_failed_start_beside_a_running_stack_stops_nothing(engine: FakeDockerCli, root: Path) -> None:
    engine.codes["up"] = 1
    engine.running = [{"Name": "h-postgres-1", "Service": "postgres", "State": "running"}]
    with pytest.raises(ComposeError, match="what ran before runs on"):
        up(engine, root, build=False)
    assert engine.calls == [_UP]


@pytest.mark.parametrize(("delete", "words"), [(False, ()), (True, ("--volumes",))])
def test_down_keeps_the_data_unless_told(engine: FakeDockerCli, delete: bool, words: tuple[str, ...]) -> None:
    down(engine, delete_data=delete)
    assert engine.calls == [("--profile", "*", "down", "--remove-orphans", *words)]


def test_a_job_gets_its_words_as_they_are_and_gives_its_code(engine: FakeDockerCli, root: Path) -> None:
    engine.codes["run"] = 8
    assert run_job(engine, root, _TRAIN, ["--config", "configs/a.yaml", "--set", "training.epochs=1"]) == 8
    built, calls = engine.calls
    assert built == ("build", "trainer")
    assert calls[:2] == ("run", "--rm")
    assert calls[-6:] == ("trainer", "train", "--config", "configs/a.yaml", "--set", "training.epochs=1")


def test_a_job_that_needs_nothing_starts_nothing_beside_it(engine: FakeDockerCli, root: Path) -> None:
    run_job(engine, root, ContainerJob("trainer", "train", built_by="trainer", alone=True), ["--print-config"])
    assert "--no-deps" in engine.calls[-1]
    run_job(engine, root, _TRAIN, [])
    assert "--no-deps" not in engine.calls[-1]


_CHECKED = ContainerJob("trainer", "train", built_by="trainer", check="--print-config")


def test_wrong_settings_are_told_before_anything_is_started(engine: FakeDockerCli, root: Path) -> None:
    engine.codes["run"] = 2
    assert run_job(engine, root, _CHECKED, ["--config", "configs/wrong.yaml"]) == 2
    built, checked = engine.calls
    assert built == ("build", "trainer")
    assert checked == (
        *("run", "--rm", "--no-deps", "--no-TTY", "trainer", "train"),
        *("--config", "configs/wrong.yaml", "--print-config"),
    )


def test_right_settings_are_looked_at_and_then_used(engine: FakeDockerCli, root: Path) -> None:
    assert run_job(engine, root, _CHECKED, ["--config", "configs/right.yaml"]) == 0
    _, checked, ran = engine.calls
    assert checked[-1] == "--print-config"
    assert "--no-deps" not in ran
    assert ran[-4:] == ("trainer", "train", "--config", "configs/right.yaml")


def test_a_stack_that_makes_its_own_secrets_gets_none_from_here(engine: FakeDockerCli, root: Path) -> None:
    engine.stack["secrets"]["postgres_password"]["file"] = str(root / "configs" / "no-secrets" / "postgres_password")
    engine.volumes |= {"handful_postgres-data", "handful_database-secret"}
    up(engine, root)
    assert engine.calls == [("build",), _UP]
    assert not (root / "secrets").exists()
    assert not (root / "configs").exists()


def test_a_given_password_that_is_lost_is_still_in_the_stack_s_own_volume(engine: FakeDockerCli, root: Path) -> None:
    engine.stack["volumes"]["database-secret"] = {"name": "handful_database-secret"}
    engine.volumes |= {"handful_postgres-data", "handful_database-secret"}
    with pytest.raises(ComposeError, match=r"leave SECRETS_DIR empty in \.env: the stack has kept a copy"):
        up(engine, root)
    assert engine.calls == []


@pytest.mark.parametrize(
    ("auth", "address", "line"),
    [
        ("on", "127.0.0.1", "MLflow asks for a password: docker compose exec mlflow cat"),
        ("off", "0.0.0.0", "others reach MLflow, which asks for no password: set MLFLOW_AUTH=on"),  # noqa: S104
        ("off", "127.0.0.1", None),
    ],
)
def test_whether_mlflow_is_open_is_said(
    engine: FakeDockerCli, root: Path, capsys: pytest.CaptureFixture[str], auth: str, address: str, line: str | None
) -> None:
    port = {"host_ip": address, "target": 5000, "published": "0"}
    engine.stack["services"]["mlflow"] = {"image": "mlflow", "environment": {"MLFLOW_AUTH": auth}, "ports": [port]}
    up(engine, root)
    said = capsys.readouterr().err
    assert line in said if line else "MLflow asks" not in said and "others reach" not in said


def test_an_interrupted_start_is_no_failure_and_stops_nothing(engine: FakeDockerCli, root: Path) -> None:
    engine.codes["up"] = INTERRUPTED
    with pytest.raises(ComposeError, match=r"interrupted: what was started runs on") as interrupted:
        up(engine, root)
    assert interrupted.value.exit_code == INTERRUPTED
    assert ("down",) not in engine.calls
