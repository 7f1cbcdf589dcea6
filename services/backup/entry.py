"""What the backup container runs: `handful export`, `handful import`, and the import of the starter model."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from importlib.metadata import entry_points
from pathlib import Path
from urllib.parse import quote

_STARTER = Path("/models/starter.zip")
_SECRETS = Path("/run/secrets")
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

    So the password is in the environment of that process alone, which nobody outside sees.
    """
    secret = _SECRETS / "postgres_password"
    if "HANDFUL_BACKUP_DATABASE_URL" in own or not secret.is_file():
        return dict(own)
    user, name = own["POSTGRES_USER"], own["POSTGRES_DB"]
    password = quote(secret.read_text(encoding="utf-8").strip(), safe="")
    where = f"{own.get('POSTGRES_HOST', 'postgres')}:{own.get('POSTGRES_PORT', '5432')}"
    return {**own, "HANDFUL_BACKUP_DATABASE_URL": f"postgresql+psycopg2://{user}:{password}@{where}/{name}"}


def _starter() -> int:
    """Import the starter model into a registry that has none.

    Returns:
        0 in any case: the platform starts without the starter model as well.
    """
    choice = os.environ.get("STARTER_MODEL", "on").strip().lower()
    if choice not in {"on", "off", ""}:
        _say(f"error: STARTER_MODEL is {choice!r}: it is on or off; the starter model is not imported")
        return 0
    if choice == "off":
        _say("STARTER_MODEL is off: the starter model is not imported")
        return 0
    if not _STARTER.is_file():
        _say("there is no models/starter.zip: nothing to import")
        return 0
    from handful_core.errors import HandfulError

    try:
        in_use = _in_use()
    except HandfulError as error:
        _say(f"error: {error}: the starter model is not imported; the platform works without it")
        return 0
    if in_use:
        _say("the registry has models already: the starter model is not imported")
        return 0
    if subprocess.run(["handful", "import", "--as-starter", str(_STARTER)], check=False).returncode:
        _say("error: the starter model could not be imported, see above; the platform works without it")
    return 0


def _in_use() -> bool:
    """Whether the registry has a version of anybody's.

    An interrupted import of the starter model leaves versions with its tag and without an alias: they do not count.
    """
    from handful_backup.mlflow_tags import SOURCE_VERSION
    from handful_core.registry import Registry

    with Registry(os.environ["HANDFUL_MLFLOW_URI"]) as registry:
        versions = [version for model in registry.models() for version in registry.versions(model.name)]
    return any(version.aliases or SOURCE_VERSION not in version.tags for version in versions)


def _has(command: str) -> bool:
    return bool(entry_points(group="handful.commands", name=command))


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)  # noqa: T201  # The container's log.


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
