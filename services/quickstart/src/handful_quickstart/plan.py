"""What a quickstart is to do: the user's options, checked against the machine, and the environment of its processes."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from collections.abc import Iterator, Mapping, MutableMapping
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from handful_core.errors import ConfigError, ResourceError
from handful_core.registry.starters import DEFAULT_STARTERS
from handful_quickstart.ports import (
    API_PORT,
    LOCALHOST,
    MLFLOW_PORT,
    MONITOR_PORT,
    free_mlflow_port,
    free_monitor_port,
    require_free,
)

PROCFILE = "Procfile"
_OTHER_MLFLOWS = ("MLFLOW_", "HANDFUL_BACKUP_")
"""How settings of another MLflow begin: its own, and those by which a backup or an import reaches its database."""
_DISK_BYTES = 2 << 30


@dataclass(frozen=True)
class Options:
    """A quickstart as the user asked for it.

    Attributes:
        folder: Handful's own folder, where the Procfile is.
        home: where all that is written goes.
        config: the training's configuration file.
        port: of the API and the dashboard; None for the usual one.
        mlflow_port: of MLflow; None for the usual one, or the next that is free.
        starters: names of the starter models that an empty registry gets.
        retrain: train although a champion serves already.
        train: draw a dataset and train on it, where there is no champion; else the servers alone are started.
        stay: keep the servers up until Ctrl-C.
        monitor: start the monitor beside the other servers.
    """

    folder: Path
    home: Path
    config: Path
    port: int | None = None
    mlflow_port: int | None = None
    starters: tuple[str, ...] = (DEFAULT_STARTERS,)
    retrain: bool = False
    train: bool = True
    stay: bool = True
    monitor: bool = False


@dataclass(frozen=True)
class Plan(Options):
    """A quickstart whose ports are chosen."""

    port: int = API_PORT
    mlflow_port: int = MLFLOW_PORT
    monitor_port: int = MONITOR_PORT

    @property
    def api(self) -> str:
        """Address of the API and the dashboard."""
        return f"http://{LOCALHOST}:{self.port}"

    @property
    def mlflow(self) -> str:
        """Address of MLflow."""
        return f"http://{LOCALHOST}:{self.mlflow_port}"

    @property
    def servers(self) -> dict[str, str]:
        """What is started: names as the Procfile has them, and where each says that it is up."""
        started = {"mlflow": f"{self.mlflow}/health", "serve": f"{self.api}/health/live"}
        return started | ({"monitor": f"http://{LOCALHOST}:{self.monitor_port}/health"} if self.monitor else {})

    @property
    def logs(self) -> Path:
        """Folder of the servers' logs."""
        return self.home / "log"

    def environment(self, inherited: Mapping[str, str]) -> dict[str, str]:
        """The environment of the servers and the training: the Procfile's commands need no options.

        MLflow keeps its database and files below the home folder. It neither starts its job runners, which take 0.7 GB
        and which Handful does not use, nor phones home. What the user set for another MLflow does not reach this one.
        """
        kept = {name: value for name, value in inherited.items() if not name.upper().startswith(_OTHER_MLFLOWS)}
        store = self.home / "mlflow"
        return kept | {
            "PATH": os.pathsep.join([str(Path(sys.executable).parent), *filter(None, [kept.get("PATH")])]),
            "PYTHONUNBUFFERED": "1",
            "HANDFUL_HOME": str(self.home),
            "HANDFUL_MLFLOW_URI": self.mlflow,
            "HANDFUL_SERVER": self.api,
            "HANDFUL_SERVING_HOST": LOCALHOST,
            "HANDFUL_SERVING_PORT": str(self.port),
            "MLFLOW_HOST": LOCALHOST,
            "MLFLOW_PORT": str(self.mlflow_port),
            "MLFLOW_WORKERS": "1",
            "MLFLOW_BACKEND_STORE_URI": f"sqlite:///{store / 'mlflow.db'}",
            "MLFLOW_ARTIFACTS_DESTINATION": str(store / "artifacts"),
            "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
            "MLFLOW_DISABLE_TELEMETRY": "true",
            **(self._monitor_environment() if self.monitor else {}),
        }

    def _monitor_environment(self) -> dict[str, str]:
        return {
            "HANDFUL_SERVING_MONITOR": f"http://{LOCALHOST}:{self.monitor_port}",
            "HANDFUL_MONITOR_HOST": LOCALHOST,
            "HANDFUL_MONITOR_PORT": str(self.monitor_port),
        }


@contextmanager
def locked_home(home: Path) -> Iterator[None]:
    """Keep other quickstarts out of the home folder: two MLflow servers must not share one database.

    Raises:
        ResourceError: another quickstart runs there.
    """
    # The system unlocks the file when the process ends, however that happens.
    lock = FileLock(home / "run" / "quickstart.lock", timeout=0)
    with ExitStack() as locked:
        try:
            (home / "run").mkdir(parents=True, exist_ok=True)
            locked.enter_context(lock)
        except Timeout:
            raise ResourceError(
                f"another quickstart is running in {home}",
                "use its servers, or stop it with Ctrl-C first, or set HANDFUL_HOME to another folder",
            ) from None
        except OSError:
            pass  # `check` says what is wrong with the folder; some file systems just have no locks.
        yield


def check(options: Options) -> Plan:
    """Check that it can be done, before anything is started.

    Returns:
        What to do, with the ports.

    Raises:
        ConfigError: this is not Handful's folder, or a server is not installed.
        ResourceError: a port is in use, the disk is full, or the home folder cannot be written.
    """
    if not (options.folder / PROCFILE).is_file():
        raise ConfigError(f"{options.folder} has no {PROCFILE}", "run this in Handful's own folder")
    for command, what in {"serve": "serving", **({"monitor": "the monitor"} if options.monitor else {})}.items():
        if not entry_points(group="handful.commands", name=command):
            raise ConfigError(f"{what} is not installed", "run scripts/quickstart.sh, which installs it")
    _check_home(options.home)
    port = require_free(options.port or API_PORT, "--port")
    mlflow_port = require_free(options.mlflow_port, "--mlflow-port") if options.mlflow_port else free_mlflow_port()
    if port == mlflow_port:
        raise ConfigError(f"--port and --mlflow-port are both {port}", "choose two ports")
    monitor_port = free_monitor_port({port, mlflow_port}) if options.monitor else MONITOR_PORT
    values: dict[str, Any] = asdict(options)
    values |= {"port": port, "mlflow_port": mlflow_port, "monitor_port": monitor_port}
    return Plan(**values)


def _check_home(home: Path) -> None:
    try:
        home.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=home):
            pass
    except OSError as error:
        raise ResourceError(
            f"{home} cannot be written ({error.strerror})", "set HANDFUL_HOME to a folder that you may write to"
        ) from error
    free = shutil.disk_usage(home).free
    if free < _DISK_BYTES:
        raise ResourceError(f"{home} has {free / 2**30:.1f} GB free", f"make room: {_DISK_BYTES >> 30} GB are needed")


def reach_local_servers_directly(environment: MutableMapping[str, str]) -> None:
    """Name this machine among the hosts that are reached without a proxy, in both spellings that programs look for."""
    for name in ("NO_PROXY", "no_proxy"):
        named = [host.strip() for host in environment.get(name, "").split(",") if host.strip()]
        environment[name] = ",".join([*named, *(host for host in (LOCALHOST, "localhost") if host not in named)])
