"""What is wrong is said in one line, and nothing is half-started."""

from __future__ import annotations

import socket

from support.stack import Stack, docker


def _nothing_is_there(stack: Stack) -> bool:
    label = f"label=com.docker.compose.project={stack.project}"
    kinds = (("ps", "--all"), ("volume", "ls"), ("network", "ls"))
    return not any(docker(*kind, "--quiet", "--filter", label).split() for kind in kinds)


def _error(stderr: str) -> str:
    (line,) = [line for line in stderr.splitlines() if line.startswith("error: ")]
    return line


def test_a_placeholder_is_refused_before_anything_starts(fresh: Stack) -> None:
    secrets = fresh.root / "secrets"
    secrets.mkdir(mode=0o700)
    (secrets / "postgres_password").write_text("changeme")
    fresh.settings["SECRETS_DIR"] = "./secrets"
    done = fresh.run_script("up")
    assert done.returncode == 2
    line = _error(done.stderr)
    assert f"{secrets / 'postgres_password'} is a placeholder" in line
    assert "changeme" not in line
    assert _nothing_is_there(fresh)
    assert not (fresh.root / ".env").exists()


def test_docker_compose_itself_refuses_a_placeholder_too(fresh: Stack) -> None:
    fresh.settings["SECRETS_DIR"] = "./secrets"
    assert fresh.run_script("up", "--no-start").returncode == 0
    (fresh.root / "secrets" / "s3_secret_key").chmod(0o644)
    (fresh.root / "secrets" / "s3_secret_key").write_text("minioadmin")
    done = fresh.compose("up", "--wait")
    assert done.returncode != 0
    assert fresh.logs("preflight").startswith("error: the secret /run/secrets/s3_secret_key is a placeholder")
    assert not [container["Name"] for container in fresh.containers() if container["State"]["Running"]]


def test_a_given_folder_that_is_not_there_is_named_by_docker_compose(fresh: Stack) -> None:
    fresh.settings["SECRETS_DIR"] = "./nowhere"
    done = fresh.compose("up", "--wait")
    assert done.returncode != 0
    assert "nowhere/" in done.stderr.splitlines()[-1]
    assert not [container["Name"] for container in fresh.containers() if container["State"]["Running"]]


def test_a_port_that_is_taken_is_named_before_anything_starts(fresh: Stack) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        fresh.ports["API_PORT"] = port
        done = fresh.run_script("up")
    assert done.returncode == 6
    assert f"port {port} on 127.0.0.1 is taken: end what listens there, or set API_PORT in .env" in _error(done.stderr)
    assert _nothing_is_there(fresh)
    assert not (fresh.root / ".env").exists()


def test_another_password_than_the_database_s_is_named_and_all_is_stopped_again(fresh: Stack) -> None:
    fresh.settings["SECRETS_DIR"] = "./secrets"
    assert fresh.run_script("up", "--no-start").returncode == 0
    fresh.compose_output("up", "--wait", "postgres")
    fresh.compose_output("down")
    password = fresh.root / "secrets" / "postgres_password"
    password.chmod(0o644)
    password.write_text("0123456789abcdef" * 2)
    done = fresh.run_script("up", "--no-build")
    assert done.returncode == 1
    lines = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert lines[0].startswith("error: mlflow-migrate: error: Postgres refuses the password")
    assert lines[-1] == "error: the stack did not come up: all is stopped again, the data is kept"
    assert not fresh.containers()


def test_a_lost_password_is_not_replaced_by_one_that_cannot_work(fresh: Stack) -> None:
    fresh.settings["SECRETS_DIR"] = "./secrets"
    assert fresh.run_script("up", "--no-start").returncode == 0
    fresh.compose_output("create", "postgres")
    (fresh.root / "secrets" / "postgres_password").unlink()
    done = fresh.run_script("up", "--no-build")
    assert done.returncode == 2
    assert "postgres_password is gone, but the database that was made with it is there" in _error(done.stderr)


def test_a_lost_volume_of_the_password_is_not_replaced_either(fresh: Stack) -> None:
    assert fresh.run_script("up", "--no-start").returncode == 0
    fresh.compose_output("up", "--wait", "postgres")
    fresh.compose_output("down")
    docker("volume", "rm", f"{fresh.project}_database-secret")
    done = fresh.run_script("up", "--no-build")
    assert done.returncode == 1
    line = next(line for line in done.stderr.splitlines() if line.startswith("error: "))
    assert line.startswith(
        "error: preflight: error: the database is there, but the password that it was made with is not"
    )
    assert not fresh.containers()


def test_secrets_of_an_older_handful_are_taken_over(fresh: Stack) -> None:
    fresh.settings["SECRETS_DIR"] = "./secrets"
    assert fresh.run_script("up", "--no-start").returncode == 0
    fresh.compose_output("up", "--wait", "mlflow", timeout=600)
    own = (fresh.root / "secrets" / "postgres_password").read_text()
    assert fresh.secret("database/postgres_password") == own
    fresh.compose_output("down")
    del fresh.settings["SECRETS_DIR"]
    fresh.compose_output("up", "--wait", "mlflow", timeout=600)
    assert fresh.secret("database/postgres_password") == own, "the stack has kept them"


def test_a_backup_that_is_not_there_is_told_with_the_command_s_own_code(stack: Stack) -> None:
    done = stack.run_script("import", "nowhere.zip")
    assert done.returncode == 7
    assert "there is no backup nowhere.zip" in _error(done.stderr)
