"""What the user asked for, checked against the machine and against what runs already."""

from __future__ import annotations

import shutil
import tempfile
from dataclasses import dataclass
from importlib.metadata import entry_points
from pathlib import Path

from handful_core.console import say
from handful_core.errors import ConfigError, ResourceError
from handful_trainer.quickstart.guarded import end_all
from handful_trainer.quickstart.plan import PROCFILE, Plan
from handful_trainer.quickstart.ports import API_PORT, free_mlflow_port, require_free
from handful_trainer.quickstart.record import StackRecord

_ROOM = 2 << 30


@dataclass(frozen=True, slots=True)
class Options:
    """A quickstart as it was asked for; a port that is None was left to us."""

    folder: Path
    home: Path
    config: Path
    port: int | None = None
    mlflow_port: int | None = None
    retrain: bool = False
    stay: bool = True


def check(options: Options) -> tuple[Plan, StackRecord | None]:
    """Look whether it can be done, before anything is started.

    Returns:
        What to do, and the servers of this home folder if they run already.

    Raises:
        ConfigError: this is not Handful's folder, or serving is not installed.
        ResourceError: a port is in use, the disk is full, or the home folder cannot be written.
    """
    if not (options.folder / PROCFILE).is_file():
        raise ConfigError(f"{options.folder} has no {PROCFILE}", "run this in Handful's own folder")
    if not entry_points(group="handful.commands", name="serve"):
        raise ConfigError("serving is not installed", "run scripts/quickstart.sh, which installs it")
    _check_home(options.home)
    running = _running(options)
    if running:
        return _plan(options, running.port, running.mlflow_port), running
    port = require_free(options.port or API_PORT, "--port")
    mlflow_port = require_free(options.mlflow_port, "--mlflow-port") if options.mlflow_port else free_mlflow_port()
    if port == mlflow_port:
        raise ConfigError(f"--port and --mlflow-port are both {port}", "choose two ports")
    return _plan(options, port, mlflow_port), None


def _plan(options: Options, port: int, mlflow_port: int) -> Plan:
    return Plan(
        folder=options.folder,
        home=options.home,
        config=options.config,
        port=port,
        mlflow_port=mlflow_port,
        retrain=options.retrain,
        stay=options.stay,
    )


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
    if free < _ROOM:
        raise ResourceError(f"{home} has {free / 2**30:.1f} GB free", f"make room: {_ROOM >> 30} GB are needed")


def _running(options: Options) -> StackRecord | None:
    """The servers that another quickstart keeps up; what a crashed one left behind is ended."""
    record = StackRecord.read(options.home)
    if record is None:
        return None
    living = record.living()
    if not living or record.owner.find() is None:
        if living:
            say(f"ending {len(living)} processes that a quickstart left behind when it crashed")
            end_all(living)
        return None
    for asked, has, option in (
        (options.port, record.port, "--port"),
        (options.mlflow_port, record.mlflow_port, "--mlflow-port"),
    ):
        if asked not in {None, has}:
            raise ConfigError(
                f"the servers of {options.home} run already, on the ports {record.port} and {record.mlflow_port}",
                f"leave out {option}, or stop them first (Ctrl-C in process {record.owner.pid})",
            )
    return record
