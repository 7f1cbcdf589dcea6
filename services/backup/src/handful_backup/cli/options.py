"""Options that the commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from pydantic import SecretStr

from handful_backup.mlflow_target import Mode
from handful_backup.settings import BackupSettings
from handful_core.errors import ConfigError
from handful_core.settings import load

Database = Annotated[
    str,
    typer.Option(
        "--database", metavar="URL", help="MLflow's database URL, for the exact way [HANDFUL_BACKUP_DATABASE_URL]."
    ),
]
Artifacts = Annotated[
    str,
    typer.Option(
        "--artifacts",
        metavar="FOLDER",
        help="MLflow's artifacts destination: a folder or s3://BUCKET. If not given, by way of MLflow.",
    ),
]
ModeOption = Annotated[Mode, typer.Option("--way", help="exact (database), portable (REST), or exact where it can be.")]
Embedded = Annotated[
    bool,
    typer.Option("--embedded", help="The MLflow of scripts/quickstart, below HANDFUL_HOME, whatever else is set."),
]
PassphraseFile = Annotated[
    Path | None,
    typer.Option(
        "--passphrase-file",
        metavar="FILE",
        help="File of the passphrase [HANDFUL_BACKUP_PASSPHRASE, ..._PASSPHRASE_FILE].",
    ),
]
Jobs = Annotated[int, typer.Option("--jobs", help="Transfers at the same time. 0 takes the setting's.", min=0, max=64)]
Experiments = Annotated[
    list[str] | None, typer.Option("--experiment", metavar="NAME", help="Only this experiment. You may repeat it.")
]
Models = Annotated[
    list[str] | None,
    typer.Option(
        "--model", metavar="NAME", help="Only this model, with its runs: NAME, NAME@ALIAS or NAME/3. You may repeat it."
    ),
]
Newer = Annotated[
    str, typer.Option("--newer-than", metavar="AGE", help="Only runs that started less long ago: 12h, 30d, 2w.")
]
Older = Annotated[
    str, typer.Option("--older-than", metavar="AGE", help="Only runs that started longer ago: 12h, 30d, 2w.")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]

_SHORTEST = 12


def load_settings(database: str, artifacts: str, passphrase_file: Path | None, jobs: int) -> BackupSettings:
    """The environment's settings, with what the command line says.

    Raises:
        ConfigError: the passphrase's file cannot be read, or is empty.
    """
    overrides: dict[str, object] = {}
    if database:
        overrides["database_url"] = SecretStr(database)
    if artifacts:
        overrides["artifacts"] = artifacts
    if jobs:
        overrides["jobs"] = jobs
    settings = load(BackupSettings)
    if passphrase_file is not None:
        overrides["passphrase"] = SecretStr(_read(passphrase_file, "--passphrase-file"))
    elif settings.passphrase_file is not None and not settings.passphrase:
        overrides["passphrase"] = SecretStr(_read(settings.passphrase_file, "HANDFUL_BACKUP_PASSPHRASE_FILE"))
    return settings.model_copy(update=overrides)


def mode_of(way: Mode, settings: BackupSettings, *, embedded: bool) -> Mode:
    """What `--way` and `--embedded` ask for: the embedded MLflow is always taken by its database.

    Raises:
        ConfigError: they contradict each other, or another database is named.
    """
    if not embedded:
        return way
    if way is Mode.REST:
        raise ConfigError("--embedded is the exact way", "leave --way portable out")
    if settings.database_url is not None or settings.artifacts:
        raise ConfigError(
            "--embedded names MLflow's database, and so do other settings",
            "leave --database, --artifacts and HANDFUL_BACKUP_DATABASE_URL out",
        )
    return Mode.DATABASE


def passphrase(settings: BackupSettings) -> str | None:
    """The passphrase; None if there is none."""
    return settings.passphrase.get_secret_value() or None if settings.passphrase else None


def validate_passphrase(passphrase: str | None) -> str | None:
    """Make sure that a passphrase is good enough to lock a backup with; None is.

    Raises:
        ConfigError: it is too short to withstand being tried out.
    """
    if passphrase is not None and len(passphrase) < _SHORTEST:
        raise ConfigError(f"the passphrase has less than {_SHORTEST} characters", "take several words")
    return passphrase


def _read(path: Path, named_by: str) -> str:
    try:
        passphrase = path.read_text(encoding="utf-8").strip()
    except OSError as error:
        raise ConfigError(f"{path} cannot be read ({error.strerror})", f"correct {named_by}") from error
    if not passphrase:  # Taken for none, it would leave a backup unlocked that somebody believes is locked.
        raise ConfigError(
            f"the passphrase's file {path} is empty", f"write a passphrase into it, or leave {named_by} out"
        )
    return passphrase
