"""What goes wrong with backups."""

from __future__ import annotations

from handful_core.errors import HandfulError


class DamagedBackupError(HandfulError):
    """A backup is damaged, truncated, unsafe, of an unknown version, or locked with another passphrase."""

    exit_code = 4


class DatabaseModeUnavailableError(HandfulError):
    """The exact way is not open here; the portable one may be. The message says why."""

    exit_code = 2
