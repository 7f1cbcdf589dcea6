"""The docker command, played by small programs."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from compose.docker import DockerCli
from compose.errors import UNAVAILABLE, ComposeError
from fakes.checkout import FakeCheckout, build_checkout


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeCheckout:
    checkout = build_checkout(tmp_path)
    monkeypatch.setenv("PATH", f"{checkout.path}:/usr/bin:/bin")
    return checkout


def _docker(checkout: FakeCheckout, engine: str = "27.1.0", compose: str = "2.40.2") -> None:
    checkout.on_path("docker", f'case "$1" in version) echo {engine} ;; compose) echo {compose} ;; esac')


def test_one_that_is_new_enough(checkout: FakeCheckout) -> None:
    _docker(checkout)
    DockerCli(checkout.root).require()


@pytest.mark.parametrize(
    ("body", "line"),
    [
        ("echo 'Cannot connect to the Docker daemon' >&2; exit 1", "Docker does not run: start it"),
        ("echo 'permission denied while trying to connect' >&2; exit 1", "usermod -aG docker"),
        ('[ "$1" = version ] && echo 27.1 || exit 1', "Docker has no Compose"),
        ("echo 24.0.7", "Docker's engine is 24.0.7, which is too old: 25.0 is needed"),
        ('[ "$1" = version ] && echo 27.1 || echo v2.20.3', "Docker Compose is v2.20.3, which is too old: 2.24"),
    ],
)
def test_what_is_missing_is_said(checkout: FakeCheckout, body: str, line: str) -> None:
    checkout.on_path("docker", body)
    with pytest.raises(ComposeError, match=line) as refused:
        DockerCli(checkout.root).require()
    assert refused.value.exit_code == UNAVAILABLE


def test_no_docker_at_all(checkout: FakeCheckout, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(checkout.path))
    with pytest.raises(ComposeError, match="Docker is not installed"):
        DockerCli(checkout.root).require()


def test_a_first_start_is_looked_at_with_the_example_s_settings(checkout: FakeCheckout) -> None:
    checkout.on_path("docker", "echo '{}'")
    engine = DockerCli(checkout.root)
    assert engine.config() == {}
    (checkout.root / ".env").write_text("")
    engine.config()
    assert ["--env-file .env.example" in call for call in checkout.calls] == [True, False]


@pytest.mark.parametrize("text", ['[{"Name": "a"}, {"Name": "b"}]', '{"Name": "a"}\n{"Name": "b"}'])
def test_containers_of_every_compose(checkout: FakeCheckout, text: str) -> None:
    checkout.on_path("docker", f"printf '%s\\n' '{text}'")
    assert DockerCli(checkout.root).containers() == [{"Name": "a"}, {"Name": "b"}]


def test_the_command_says_in_one_line_what_is_missing(checkout: FakeCheckout, repository: Path) -> None:
    words = [sys.executable, "-B", repository / "scripts" / "run.py", "down.sh"]
    done = subprocess.run(words, env={"PATH": str(checkout.path)}, capture_output=True, text=True, check=False)
    assert done.returncode == UNAVAILABLE
    assert done.stderr.startswith("error: Docker is not installed: ")
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize("script", ["train", "export", "import", "up"])
def test_help_needs_no_docker(repository: Path, script: str) -> None:
    words = [sys.executable, "-B", repository / "scripts" / "run.py", f"{script}.sh", "--help"]
    done = subprocess.run(words, env={"PATH": ""}, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("usage: ")
