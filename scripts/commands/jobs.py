"""train, export and import: `handful` commands in a container of the Compose stack."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from commands.embedded import embedded_mlflow
from commands.parser import ROOT, ScriptParser
from commands.process import exec_command
from commands.stack import guarded
from compose.docker import DockerCli
from compose.stack import ContainerJob, run_job
from console import print_status
from installer.__main__ import main as install
from installer.layout import Layout

_TRAIN = """
Trains a model in a container, and takes it all the way to the registry: `handful train`. MLflow is started if it does
not run, and the trainer's image is built if it is not there. The container sees configs/ and DATA_DIR (as data/): name
files by these paths. What it writes stays in the volume trainer-data: --resume goes on after an interruption.
"""
_EXPORT = """
Writes all of MLflow into one ZIP file: `handful export`, in a container that sees BACKUP_DIR (./backups) as its current
folder. MLflow is started if it does not run. With --embedded it needs no Docker, and takes the MLflow of
scripts/quickstart.
"""
_IMPORT = """
Brings a backup back into MLflow: `handful import BACKUP`, in a container that sees BACKUP_DIR (./backups) as its
current folder: name the file by its name in there. MLflow is started if it does not run. With --embedded it needs no
Docker: it installs Handful into .venv, and brings the backup into the MLflow of scripts/quickstart, which need not run.
"""
_BACKUP_OPTIONS = {
    "--embedded": "without Docker: the MLflow of scripts/quickstart, below HANDFUL_HOME",
    "--experiment NAME": "only this experiment; may be repeated",
    "--model NAME": "only this model, with its runs: NAME, NAME@ALIAS or NAME/3; may be repeated",
    "--newer-than AGE": "only runs that started less long ago: 12h, 30d, 2w",
    "--older-than AGE": "only runs that started longer ago",
    "--way WAY": "exact (database), portable (REST), or auto: exact where it can be",
    "--database URL": "another database than the stack's",
    "--artifacts PLACE": "where the artifacts lie, s3://BUCKET/PATH; else by way of MLflow",
    "--passphrase-file FILE": "locks and unlocks the backup",
    "--jobs N": "transfers at the same time",
    "--json": "print the result as JSON",
}
_OPTIONS = {
    "train": {
        "-c, --config FILE": "the training's YAML file",
        "--set SETTING": "override a setting: section.key=value; may be repeated",
        "--print-config": "print the whole configuration and end; starts nothing beside the trainer",
        "--dry-run": "train some batches, say what all of it would take, and end; starts nothing beside the trainer",
        "--resume": "go on with the newest unfinished training",
        "--run FOLDER": "with --resume: the training's folder",
        "--data FOLDER": "the dataset that was prepared from this configuration",
        "--output FOLDER": "a new folder for what it leaves; a training of the same settings that did not end goes on",
        "--train-only": "end with the weights",
        "--add reviewed": "also train on the reviewed pictures, from the champion on",
        "--json": "print the result as JSON",
    },
    "export": {
        "--out PLACE": "a file, a folder, s3://BUCKET/PATH, or - for standard output",
        "--since BACKUP": "only what changed since this backup",
        "--keep N": "remove all but the newest backups in the folder",
        **_BACKUP_OPTIONS,
    },
    "import": {
        "--as-starter": "mark a model of a new server: while unused, it gives way to a backup",
        "--dry-run": "print the plan and write nothing",
        "--overwrite": "replace what exists by what the backup has",
        "--rename-prefix TEXT": "make copies: put this before names of experiments and models",
        **_BACKUP_OPTIONS,
    },
}

_WITHOUT_MLFLOW = frozenset({"--print-config", "--dry-run"})


def train(parser: ScriptParser, argv: list[str]) -> int:
    """`scripts/train`."""
    parser.describe(_TRAIN)
    check = "" if "--resume" in argv else "--print-config"  # What it resumes has been looked at before.
    alone = not _WITHOUT_MLFLOW.isdisjoint(argv)
    job = ContainerJob("trainer", "train", built_by="trainer", alone=alone, check=check)
    return _run(parser, argv, job)


def export(parser: ScriptParser, argv: list[str]) -> int:
    """`scripts/export`."""
    parser.describe(_EXPORT)
    return _run(parser, argv, ContainerJob("backup", "export", built_by="starter"), embedded=_means_embedded(argv))


def import_(parser: ScriptParser, argv: list[str]) -> int:
    """`scripts/import`."""
    parser.usage = f"{parser.script} [options] BACKUP"
    parser.describe(_IMPORT)
    return _run(parser, argv, ContainerJob("backup", "import", built_by="starter"), embedded=_means_embedded(argv))


def _run(parser: ScriptParser, argv: list[str], job: ContainerJob, *, embedded: bool = False) -> int:
    """Print the help here, where it needs no container; the job itself parses all other arguments."""
    # An option ends in the name of its value, in capitals, or has no value.
    for option, text in _OPTIONS[job.command].items():
        names, _, value = option.rpartition(" ") if option[-1].isupper() else (option, "", "")
        kwargs: dict[str, Any] = {"metavar": value} if value else {"action": "store_true"}
        parser.add_argument(*names.split(", "), help=text, **kwargs)
    if {"-h", "--help"} & set(argv):
        parser.parse_args(["--help"])
    if embedded:
        return _run_here(job.command, argv)
    return guarded(lambda: run_job(DockerCli(ROOT), ROOT, job, argv))


def _means_embedded(argv: list[str]) -> bool:
    """Whether the MLflow of scripts/quickstart is meant: by --embedded, or since it runs and the stack does not.

    Else a backup would go into a stack that is started for it, and not to where the user is looking.
    """
    if "--embedded" in argv or {"-h", "--help"} & set(argv):
        return "--embedded" in argv
    address = embedded_mlflow(Path(os.environ.get("HANDFUL_HOME") or ROOT / "var"))
    if address is None:
        return False
    if any(container["State"] == "running" for container in DockerCli(ROOT).containers()):
        print_status(f"taking the stack's MLflow; for that of the quickstart at {address}, add --embedded")
        return False
    print_status(f"taking the MLflow of the quickstart, which runs at {address}")
    return True


def _run_here(command: str, argv: list[str]) -> int:
    """Run the command on this machine. It runs in Handful's folder, and files are those of the folder of the user."""
    if code := install(["services"]):
        return code
    words = [str(Path(word).resolve()) if Path(word).exists() else word for word in argv]
    embedded = [] if "--embedded" in argv else ["--embedded"]
    return exec_command([Layout.of_this_checkout().tool("handful"), command, *embedded, *words])
