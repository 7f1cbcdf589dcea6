"""The Compose stack of a copy of this checkout, under a project name and on ports of its own."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from support.mlflow_server import free_port

SERVERS = ("postgres", "minio", "mlflow", "serving", "dashboard")
_COPIED = (
    "configs",
    "dashboard",
    "models",
    "scripts",
    "services",
    ".dockerignore",
    ".env.example",
    "constraints.txt",
    "constraints.hashed.txt",
)
_OURS = (
    "COMPOSE_",
    "HANDFUL_",
    "SECRETS_DIR",
    "BIND_ADDRESS",
    "MINIO_",
    "S3_",
    "DATA_DIR",
    "BACKUP_DIR",
    "MODELS",
    "MLFLOW_",
    "MONITOR_",
)


def copy_checkout(source: Path, target: Path) -> Path:
    """What a user has after `git clone`: no .env, no secrets, nothing built."""
    target.mkdir(parents=True)
    for path in (*map(source.joinpath, _COPIED), *source.glob("*compose*.yml")):
        if path.is_dir():
            shutil.copytree(path, target / path.name, ignore=shutil.ignore_patterns("__pycache__"))
        elif path.exists():
            shutil.copy(path, target)
    return target


@dataclass
class Stack:
    """A stack; nothing is started or made yet."""

    root: Path
    project: str
    ports: dict[str, int] = field(default_factory=dict)
    settings: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name in ("DASHBOARD_PORT", "API_PORT", "MLFLOW_PORT"):
            self.ports.setdefault(name, free_port())

    @property
    def environment(self) -> dict[str, str]:
        """Nothing of the person who runs the tests, but their Docker."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith(_OURS)}
        ports = {name: str(port) for name, port in self.ports.items()}
        return kept | ports | {"COMPOSE_PROJECT_NAME": self.project} | self.settings

    def url(self, port: str) -> str:
        """The address of what is published at DASHBOARD_PORT, API_PORT or MLFLOW_PORT."""
        return f"http://127.0.0.1:{self.ports[port]}"

    def run_script(self, *argv: str, timeout: float = 600) -> subprocess.CompletedProcess[str]:
        """`scripts/COMMAND.sh ARGUMENTS`, with this Python."""
        script = [sys.executable, "-B", str(self.root / "scripts" / "run.py"), f"{argv[0]}.sh"]
        return self._run([*script, *argv[1:]], self.environment, timeout)

    def compose(self, *argv: str, timeout: float = 300) -> subprocess.CompletedProcess[str]:
        """`docker compose ARGUMENTS`, whatever comes of it."""
        return self._run(["docker", "compose", *argv], self.environment, timeout)

    def compose_output(self, *argv: str, timeout: float = 300) -> str:
        """What `docker compose ARGUMENTS` prints; it must go well."""
        done = self.compose(*argv, timeout=timeout)
        assert done.returncode == 0, f"docker compose {' '.join(argv)}:\n{done.stdout}\n{done.stderr}"
        return done.stdout

    def _run(self, argv: list[str], environment: dict[str, str], timeout: float) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            argv,
            cwd=self.root,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
            stdin=subprocess.DEVNULL,
            timeout=timeout,
        )

    def containers(self) -> list[dict[str, Any]]:
        """What `docker inspect` tells of all containers of the project."""
        label = f"label=com.docker.compose.project={self.project}"
        return inspect(docker("ps", "--all", "--quiet", "--filter", label).split())

    def container(self, service: str) -> dict[str, Any]:
        """What `docker inspect` tells of a service's container."""
        (found,) = inspect(self.compose_output("ps", "--all", "--quiet", service).split())
        return found

    def healthy(self, service: str) -> bool:
        """Whether the service's container is up and well."""
        state = self.container(service)["State"]
        return bool(state["Running"] and state["Health"]["Status"] == "healthy")

    def logs(self, service: str) -> str:
        """What a service's container logged."""
        argv = ["docker", "logs", self.container(service)["Id"]]
        done = subprocess.run(argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=True, timeout=60)
        return done.stdout

    def secret(self, name: str) -> str:
        """A secret as the stack keeps it: `database/postgres_password`, say."""
        return self.compose_output("exec", "-T", "mlflow", "cat", f"/run/secrets/{name}").strip()

    def environments(self, service: str) -> dict[int, str]:
        """Process id to environment, of all processes of a service's container but those that end meanwhile."""
        pids = [line.split()[0] for line in docker("top", self.container(service)["Id"], "-eo", "pid").splitlines()[1:]]
        code = (
            "import json, sys\n"
            "from pathlib import Path\n"
            "found = {}\n"
            "for pid in sys.argv[1:]:\n"
            "    try: found[pid] = Path(f'/proc/{pid}/environ').read_text(errors='replace')\n"
            "    except (FileNotFoundError, ProcessLookupError): pass\n"  # A health check, say.
            "print(json.dumps(found))"
        )
        image = self.container("mlflow")["Config"]["Image"]
        words = ("--pid", "host", "--user", "0", "--cap-add", "SYS_PTRACE", "--entrypoint", "python", image, "-c", code)
        return {int(pid): text for pid, text in json.loads(docker("run", "--rm", *words, *pids)).items()}

    def volumes(self) -> set[str]:
        """The project's volumes, without the project's name."""
        label = f"label=com.docker.compose.project={self.project}"
        names = docker("volume", "ls", "--quiet", "--filter", label).split()
        return {name.removeprefix(f"{self.project}_") for name in names}

    def python(self, service: str, code: str, **settings: str) -> subprocess.CompletedProcess[str]:
        """Run Python inside the network of a service's container, whatever its own image holds."""
        network = f"container:{self.container(service)['Id']}"
        argv = ["run", "--rm", "--network", network, "--entrypoint", "python"]
        argv += [option for name, value in settings.items() for option in ("--env", f"{name}={value}")]
        image = self.container("mlflow")["Config"]["Image"]
        return self._run(["docker", *argv, image, "-c", code], self.environment, 300)

    def kill(self, service: str) -> None:
        """End the container's first process as a crash would: `docker kill` counts as wanted, and nothing restarts."""
        found = self.container(service)
        code = f"import os; os.kill({found['State']['Pid']}, 9)"
        image = self.container("mlflow")["Config"]["Image"]
        docker("run", "--rm", "--pid", "host", "--user", "0", "--entrypoint", "python", image, "-c", code)

    def remove(self) -> None:
        """All of it: containers, networks, volumes."""
        self.compose_output("--profile", "*", "down", "--volumes", "--remove-orphans", "--timeout", "2")


def docker(*argv: str) -> str:
    """What `docker ARGUMENTS` prints; it must go well."""
    done = subprocess.run(["docker", *argv], capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, f"docker {' '.join(argv)}: {done.stderr}"
    return done.stdout


def inspect(containers: Iterable[str]) -> list[dict[str, Any]]:
    """What `docker inspect` tells of containers, if there are any."""
    names = list(containers)
    found: list[dict[str, Any]] = json.loads(docker("inspect", *names)) if names else []
    return found
