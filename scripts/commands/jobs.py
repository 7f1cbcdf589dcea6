"""train, export and import: `handful` commands in a container of the Compose stack."""

from __future__ import annotations

from typing import Any

from commands.stack import guarded
from commands.words import ROOT, Words
from compose.engine import Engine
from compose.jobs import Job, run

_TRAIN = """
Trains a model in a container, and takes it all the way to the registry: `handful train`. MLflow is started if it does
not run, and the trainer's image is built if it is not there. The container sees configs/ and DATA_DIR (as data/): name
files by these paths. What it writes stays in the volume trainer-data: --resume goes on after an interruption.
"""
_EXPORT = """
Writes all of MLflow into one ZIP file: `handful export`, in a container that sees BACKUP_DIR (./backups) as its current
folder. MLflow is started if it does not run.
"""
_IMPORT = """
Brings a backup back into MLflow: `handful import BACKUP`, in a container that sees BACKUP_DIR (./backups) as its
current folder: name the file by its name in there. MLflow is started if it does not run.
"""
_BOTH = {
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
        "--json": "print the result as JSON",
    },
    "export": {
        "--out PLACE": "a file, a folder, s3://BUCKET/PATH, or - for standard output",
        "--since BACKUP": "only what changed since this backup",
        "--keep N": "remove all but the newest backups in the folder",
        **_BOTH,
    },
    "import": {
        "--dry-run": "print the plan and write nothing",
        "--overwrite": "replace what exists by what the backup has",
        "--rename-prefix TEXT": "make copies: put this before names of experiments and models",
        **_BOTH,
    },
}

_NEED_NO_MLFLOW = frozenset({"--print-config", "--dry-run"})


def train(words: Words, said: list[str]) -> int:
    """`scripts/train`."""
    words.describe(_TRAIN)
    return _hand_on(
        words, said, Job("trainer", "train", built_by="trainer", alone=not _NEED_NO_MLFLOW.isdisjoint(said))
    )


def export(words: Words, said: list[str]) -> int:
    """`scripts/export`."""
    words.describe(_EXPORT)
    return _hand_on(words, said, Job("backup", "export", built_by="starter"))


def import_(words: Words, said: list[str]) -> int:
    """`scripts/import`."""
    words.usage = f"{words.script} [options] BACKUP"
    words.describe(_IMPORT)
    return _hand_on(words, said, Job("backup", "import", built_by="starter"))


def _hand_on(words: Words, said: list[str], job: Job) -> int:
    """Answer a question for help here, where it needs no container; all other words are the job's own to judge."""
    for option, text in _OPTIONS[job.command].items():
        names, _, value = option.rpartition(" ") if option[-1].isupper() else (option, "", "")
        how: dict[str, Any] = {"metavar": value} if value else {"action": "store_true"}
        words.add_argument(*names.split(", "), help=text, **how)
    if {"-h", "--help"} & set(said):
        words.parse_args(["--help"])
    return guarded(lambda: run(Engine(ROOT), ROOT, job, said))
