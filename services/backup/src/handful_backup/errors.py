"""What goes wrong with backups."""

from __future__ import annotations

from handful_core.errors import HandfulError


class DamagedBackupError(HandfulError):
    """A backup is damaged, truncated, unsafe, of an unknown version, or locked with another passphrase."""

    exit_code = 4


class DatabaseModeUnavailableError(HandfulError):
    """MLflow's database cannot be used for this; REST may do. The message says why."""

    exit_code = 2
