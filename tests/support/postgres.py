"""A real Postgres for tests: a cluster of its own in a temporary folder, on a free port of 127.0.0.1."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

from support.mlflow_server import free_port

_USER = "handful"


def find_programs() -> Path | None:
    """The folder of initdb and pg_ctl; Debian keeps it off the PATH. None if there is none."""
    debian = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: int(path.parent.name), reverse=True)
    on_path = shutil.which("initdb")
    found = [Path(on_path).resolve().parent] if on_path else []
    return next((folder for folder in (*debian, *found) if (folder / "initdb").exists()), None)


@dataclass
class Postgres:
    """A cluster. Postgres refuses to run as root: there, it runs as nobody."""

    programs: Path
    port: int = field(default_factory=free_port)
    root: Path = field(default_factory=lambda: Path(tempfile.mkdtemp(prefix="handful-postgres-")))

    def url(self, database: str) -> str:
        """For SQLAlchemy."""
        return f"postgresql+psycopg2://{_USER}@127.0.0.1:{self.port}/{database}"

    def start(self) -> Postgres:
        """Make the cluster and start it."""
        if os.geteuid() == 0:
            nobody = pwd.getpwnam("nobody")
            os.chown(self.root, nobody.pw_uid, nobody.pw_gid)
        self._run("initdb", "--username", _USER, "--auth", "trust", "--encoding", "UTF8", "--no-sync", "-D", self._data)
        words = f"-p {self.port} -c listen_addresses=127.0.0.1 -c unix_socket_directories={self.root} -c fsync=off"
        self._run("pg_ctl", "start", "-w", "-D", self._data, "-l", self.root / "log", "-o", words)
        return self

    def make(self, database: str, like: str = "template1") -> str:
        """Make a database like another one, in place of the one of that name; its URL."""
        import psycopg2

        connection = psycopg2.connect(host="127.0.0.1", port=self.port, user=_USER, dbname="postgres")
        connection.autocommit = True
        with connection.cursor() as cursor:
            cursor.execute(f'DROP DATABASE IF EXISTS "{database}" WITH (FORCE)')
            cursor.execute(f'CREATE DATABASE "{database}" TEMPLATE "{like}"')
        connection.close()
        return self.url(database)

    def stop(self) -> None:
        """End it and remove all of it."""
        self._run("pg_ctl", "stop", "-m", "immediate", "-D", self._data)
        shutil.rmtree(self.root)

    @property
    def _data(self) -> Path:
        return self.root / "data"

    def _run(self, program: str, *words: str | Path) -> None:
        user = "nobody" if os.geteuid() == 0 else None
        # Its output goes to a file: the server inherits it, and a pipe would stay open as long as that runs.
        with (self.root / "setup.log").open("ab") as log:
            command = [self.programs / program, *words]
            done = subprocess.run(command, user=user, cwd=self.root, stdout=log, stderr=log, check=False)
        if done.returncode:
            raise RuntimeError(f"{program} failed:\n{(self.root / 'setup.log').read_text()[-4000:]}")
