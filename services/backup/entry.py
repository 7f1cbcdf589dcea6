"""What the backup container runs: `handful export`, `handful import`, and the import of the starter models."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from importlib.metadata import entry_points
from pathlib import Path

_MODELS = Path("/models")
_SECRETS = Path("/run/secrets")
_PASSWORD = "postgres_password"  # noqa: S105  # The name of a file.
_MISSING = 2


def main(arguments: list[str]) -> int:
    """Run `handful` with the arguments, or the job `starter`.

    Returns:
        The command's own exit code; 2 for a command that is not there.
    """
    if not arguments:
        arguments = ["--help"]
    if arguments[0] == "starter":
        return _starter()
    if not arguments[0].startswith("-") and not _has(arguments[0]):
        _say(f"error: this version of Handful has no `handful {arguments[0]}` yet: nothing was done")
        return _MISSING
    return subprocess.run(["handful", *arguments], env=_environment(os.environ), check=False).returncode


def _environment(own: Mapping[str, str]) -> dict[str, str]:
    """The command's environment. Where the database's password is given as a secret, it names the database.

    The password itself is in no environment: libpq finds it in a file that only this user reads.
    """
    found = [path for path in (_SECRETS / _PASSWORD, _SECRETS / "database" / _PASSWORD) if path.is_file()]
    if own.get("HANDFUL_BACKUP_DATABASE_URL") or not found:
        return dict(own)
    user, name = own["POSTGRES_USER"], own["POSTGRES_DB"]
    host, port = own.get("POSTGRES_HOST") or "postgres", own.get("POSTGRES_PORT") or "5432"
    password = found[0].read_text(encoding="utf-8").strip()
    return {
        **own,
        "HANDFUL_BACKUP_DATABASE_URL": f"postgresql+psycopg2://{user}@{host}:{port}/{name}",
        "PGPASSFILE": str(_password_file([host, port, "*", user, password])),
    }


def _password_file(fields: Sequence[str]) -> Path:
    """Write libpq's password file into memory: TMPDIR is the folder of backups."""
    path = Path(tempfile.mkdtemp(prefix="pgpass-", dir="/tmp")) / "pgpass"  # It is this container's own.
    path.touch(mode=0o600)
    path.write_text(
        ":".join(field.replace("\\", "\\\\").replace(":", "\\:") for field in fields) + "\n", encoding="utf-8"
    )
    return path


def _starter() -> int:
    """Import the starter models that `STARTER_MODEL` names into a registry that nobody uses.

    Returns:
        0 in any case: the platform starts without a starter model as well.
    """
    from handful_core.errors import HandfulError
    from handful_core.registry.starters import STARTER_FILES, chosen_starters

    try:
        chosen = chosen_starters(os.environ.get("STARTER_MODEL", ""))
        if not chosen:
            _say("STARTER_MODEL is none: no starter model is imported")
        there = [name for name in chosen if (_MODELS / STARTER_FILES[name]).is_file()]
        for name in chosen:
            if name not in there:
                _say(f"there is no models/{STARTER_FILES[name]}: the starter model {name} is not imported")
        for name in _missing_of(there) if there else ():
            words = ["handful", "import", "--as-starter", str(_MODELS / STARTER_FILES[name])]
            if subprocess.run(words, check=False).returncode:
                _say(f"error: the starter model {name} could not be imported, see above; the platform works without it")
    except HandfulError as error:
        _say(f"error: {error}: no starter model is imported; the platform works without one")
    return 0


def _missing_of(chosen: list[str]) -> list[str]:
    """Those that are to be imported; what is not, and how it would be, is said."""
    from handful_core.registry import Registry
    from handful_core.registry.starters import STARTER_FILES, models_in_use, wanted_starters

    with Registry(os.environ["HANDFUL_MLFLOW_URI"]) as registry:
        in_use = models_in_use(registry)
    wanted = wanted_starters(chosen, in_use)
    for name in chosen:
        if name in in_use:
            _say(f"the registry has {name} already: the starter model is not imported")
        elif name not in wanted:
            _say(
                f"the registry has {', '.join(sorted(in_use))} already: the starter model {name} is not imported; "
                f"`handful import models/{STARTER_FILES[name]}` brings it"
            )
    return wanted


def _has(command: str) -> bool:
    return bool(entry_points(group="handful.commands", name=command))


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)  # noqa: T201  # The container's log.


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
