"""The `docker` command, for the Compose stack in a folder."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from compose.errors import CONFIG, FAILED, INTERRUPTED, UNAVAILABLE, ComposeError

_OLDEST_ENGINE = (25, 0)
"""The first that knows `start_interval`."""
_OLDEST_COMPOSE = (2, 24)
"""The first that knows `!override`."""


class DockerCli:
    """Docker and its Compose, for the stack in a folder.

    Args:
        root: Handful's own folder, where docker-compose.yml is.
    """

    def __init__(self, root: Path) -> None:
        self._root = root

    def require(self) -> None:
        """Make sure that Docker is installed, runs and is new enough.

        Raises:
            ComposeError: it is not. The message says what to do.
        """
        if shutil.which("docker") is None:
            raise ComposeError("Docker is not installed: https://docs.docker.com/engine/install tells how", UNAVAILABLE)
        server = self._query("version", "--format", "{{.Server.Version}}")
        if server.returncode:
            raise ComposeError(_connection_error(server.stderr), UNAVAILABLE)
        _require_version("Docker's engine", server.stdout, _OLDEST_ENGINE)
        own = self._query("compose", "version", "--short")
        if own.returncode:
            raise ComposeError(
                "Docker has no Compose: https://docs.docker.com/compose/install tells how to add it", UNAVAILABLE
            )
        _require_version("Docker Compose", own.stdout, _OLDEST_COMPOSE)

    def config(self) -> dict[str, Any]:
        """The stack as Compose resolves it, with all profiles. .env.example counts before the first start.

        Raises:
            ComposeError: Compose finds a fault in the files or in .env.
        """
        config: dict[str, Any] = json.loads(self._read("--profile", "*", "config", "--format", "json"))
        return config

    def active(self, profiles: Sequence[str] = ()) -> frozenset[str]:
        """The services that start with these profiles, and with those that .env names.

        Raises:
            ComposeError: as for `config`.
        """
        return frozenset(self._read(*profile_options(profiles), "config", "--services").split())

    def _read(self, *argv: str) -> str:
        own = [] if (self._root / ".env").exists() else ["--env-file", ".env.example"]
        done = self._query("compose", *own, *argv)
        if done.returncode:
            raise ComposeError(f"Compose cannot read the stack ({_last_line(done.stderr)}): correct .env", CONFIG)
        return done.stdout

    def compose(self, *argv: str, show: bool = True) -> int:
        """Run `docker compose` at the terminal, and return its exit code. Without `show`, only its errors are seen."""
        return run_attached(["docker", "compose", *argv], self._root, quiet=not show)

    def build(self, *services: str, profiles: Sequence[str] = ()) -> None:
        """Build the images of services, all of the stack's if none is named. Progress goes to stderr.

        Raises:
            ComposeError: it failed; Docker has said why.
        """
        words = [*profile_options(profiles), "build", *services]
        code = run_attached(["docker", "compose", *words], self._root, on_stderr=True)
        if code == INTERRUPTED:
            raise ComposeError("interrupted: nothing was started", INTERRUPTED)
        if code:
            raise ComposeError("the images could not be built, see above: nothing was started", FAILED)

    def containers(self) -> list[dict[str, Any]]:
        """The stack's containers, stopped ones too."""
        answer = self._query("compose", "--profile", "*", "ps", "--all", "--format", "json")
        text = answer.stdout.strip()
        if answer.returncode or not text:
            return []  # Nothing was ever started: that is no error here.
        # Compose prints one object a line since 2.21; before that, one list.
        found: list[dict[str, Any]] = (
            json.loads(text) if text.startswith("[") else list(map(json.loads, text.splitlines()))
        )
        return found

    def last_log_line(self, container: str) -> str:
        """The last line that a container logged."""
        answer = self._query("logs", "--tail", "5", container)
        return _last_line(answer.stdout + answer.stderr)

    def has_volume(self, name: str) -> bool:
        """Whether the volume is there."""
        return self._query("volume", "inspect", name).returncode == 0

    def has_image(self, name: str) -> bool:
        """Whether the image is there."""
        return self._query("image", "inspect", name).returncode == 0

    def data_folder(self) -> Path | None:
        """Where the engine keeps images and volumes, if that is on this machine for us to see."""
        path = Path(self._query("info", "--format", "{{.DockerRootDir}}").stdout.strip() or os.devnull)
        return path if path.is_dir() else None

    def _query(self, *argv: str) -> subprocess.CompletedProcess[str]:
        """Run `docker` without showing its output; a daemon that hangs ends it after a minute."""
        try:
            return subprocess.run(
                ["docker", *argv],
                cwd=self._root,
                check=False,
                capture_output=True,
                text=True,
                encoding="utf-8",
                errors="replace",
                stdin=subprocess.DEVNULL,
                timeout=60,
            )
        except subprocess.TimeoutExpired as error:
            raise ComposeError("Docker does not answer within a minute: start it again", UNAVAILABLE) from error
        except OSError as error:
            raise ComposeError(f"docker cannot be run ({error.strerror})", FAILED) from error


def profile_options(profiles: Sequence[str]) -> list[str]:
    """What Compose is told of profiles, before its command."""
    return [word for profile in profiles for word in ("--profile", profile)]


def _connection_error(stderr: str) -> str:
    if "permission denied" in stderr.lower():
        return "Docker is not open to you: add yourself to its group (sudo usermod -aG docker $USER), then log in again"
    return f"Docker does not run: start it ({_last_line(stderr)})"


def _require_version(what: str, text: str, oldest: tuple[int, int]) -> None:
    found = re.search(r"(\d+)\.(\d+)", text)
    if found and (int(found[1]), int(found[2])) < oldest:
        raise ComposeError(
            f"{what} is {text.strip()}, which is too old: {oldest[0]}.{oldest[1]} is needed", UNAVAILABLE
        )


def _last_line(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1] if lines else "it says nothing"


def run_attached(argv: Sequence[str], folder: Path, *, on_stderr: bool = False, quiet: bool = False) -> int:
    """Run a command in a folder, and wait until it has ended by itself.

    Ctrl-C reaches it from the terminal, and it knows how to end: a training marks its run, a container is removed.
    If we did not wait for that, the container would run on unseen. A SIGTERM to us is forwarded.

    Args:
        argv: the command.
        folder: where it runs.
        on_stderr: send what it prints to stderr, since stdout is for results.
        quiet: show none of its results, but its errors.

    Returns:
        Its exit code.
    """
    stdout = subprocess.DEVNULL if quiet else sys.stderr if on_stderr else None
    with (
        subprocess.Popen(argv, cwd=folder, stdout=stdout) as process,
        _signals_forwarded(process),
    ):
        return process.wait()


@contextmanager
def _signals_forwarded(process: subprocess.Popen[bytes]) -> Iterator[None]:
    # The terminal sends Ctrl-C to the whole group, so to the command as well: here it is only ignored.
    interrupt = signal.signal(signal.SIGINT, lambda *_: None)
    end = signal.signal(signal.SIGTERM, lambda *_: process.terminate())
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, interrupt)
        signal.signal(signal.SIGTERM, end)
