"""train, export and import: `handful` commands in a container of the Compose stack."""

from __future__ import annotations

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
Exports runs, models and artifacts from MLflow into one file: `handful export`, in a container that sees BACKUP_DIR
(./backups) as its current folder. MLflow is started if it does not run.
"""
_IMPORT = """
Brings an export back into MLflow: `handful import`, in a container that sees BACKUP_DIR (./backups) as its current
folder: name the file by its name in there. MLflow is started if it does not run.
"""


def train(words: Words, said: list[str]) -> int:
    """`scripts/train`."""
    words.describe(_TRAIN)
    words.add_argument("-c", "--config", metavar="FILE", help="the training's YAML file")
    words.add_argument("--set", metavar="SETTING", help="override a setting: section.key=value; may be repeated")
    words.add_argument("--print-config", action="store_true", help="print the whole configuration and end")
    words.add_argument("--resume", action="store_true", help="go on with the newest unfinished training")
    words.add_argument("--run", metavar="FOLDER", help="with --resume: the training's folder")
    words.add_argument("--json", action="store_true", help="print the result as JSON")
    alone = "--print-config" in said
    return _hand_on(words, said, Job("trainer", "train", built_by="trainer", alone=alone))


def export(words: Words, said: list[str]) -> int:
    """`scripts/export`."""
    words.describe(_EXPORT)
    return _hand_on(words, said, Job("backup", "export", built_by="starter"))


def import_(words: Words, said: list[str]) -> int:
    """`scripts/import`."""
    words.describe(_IMPORT)
    return _hand_on(words, said, Job("backup", "import", built_by="starter"))


def _hand_on(words: Words, said: list[str], job: Job) -> int:
    """Answer a question for help here, where it needs no container; all other words are the job's own to judge."""
    if {"-h", "--help"} & set(said):
        words.parse_args(["--help"])
    return guarded(lambda: run(Engine(ROOT), ROOT, job, said))
