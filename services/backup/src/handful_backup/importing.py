"""Import: which way, and what that way cannot keep."""

from __future__ import annotations

from handful_backup.archive import BackupReader
from handful_backup.errors import CannotBeExactError
from handful_backup.exact.database import Database
from handful_backup.exact.importing import ExactImport
from handful_backup.plan import Plan, Wish
from handful_backup.portable.importing import PortableImport
from handful_backup.progress import Progress
from handful_backup.selection import Chosen
from handful_backup.tables import PORTABLE
from handful_backup.ways import Server, Way
from handful_core.console import say
from handful_core.errors import ConfigError

NOT_KEPT = (
    "ids of experiments, runs and logged models (kept as tags handful.source_*)",
    "creation times of experiments, logged models and versions, and users of versions (kept in handful.source_times)",
)
"""What REST does not take."""


def bring(
    found: Server,
    backup: BackupReader,
    chosen: Chosen | None,
    wish: Wish,
    way: Way,
    *,
    dry: bool,
    jobs: int,
) -> Plan:
    """Import a backup.

    Args:
        found: the server.
        backup: what is brought; its hashes were checked.
        chosen: what of it is wanted; None for all.
        wish: what happens to what is there.
        way: what was asked for.
        dry: whether to plan only.
        jobs: transfers at the same time.

    Raises:
        CannotBeExactError: the exact way was asked for and is not open.
    """
    if backup.manifest.base and not wish.overwrite:
        say("it adds to another backup: what that one brought is brought up to this one with --overwrite only")
    if found.database is not None and not wish.prefix:
        try:
            return _exact(found, found.database, backup, chosen, wish, dry=dry, jobs=jobs)
        except CannotBeExactError as error:
            if way is Way.EXACT:
                raise
            say(f"not the exact way: {error}")
    elif wish.prefix and way is Way.EXACT:
        raise ConfigError("--rename-prefix makes copies, which get new ids", "leave --way exact out")
    return _portable(found, backup, chosen, wish, dry=dry, jobs=jobs)


def _exact(
    found: Server,
    database: Database,
    backup: BackupReader,
    chosen: Chosen | None,
    wish: Wish,
    *,
    dry: bool,
    jobs: int,
) -> Plan:
    importing = ExactImport(database, found.places, backup, chosen, replace=wish.overwrite)
    say(found.why)
    if dry:
        return importing.plan()
    with Progress() as progress:
        return importing.run(progress, jobs)


def _portable(found: Server, backup: BackupReader, chosen: Chosen | None, wish: Wish, *, dry: bool, jobs: int) -> Plan:
    with (
        Progress() as progress,
        PortableImport(found.rest, found.places, backup, chosen, wish, progress, jobs) as importing,
    ):
        plan = importing.plan()
        if plan.nothing_to_do:
            return plan
        say(f"portable: over REST to {found.rest.uri}")
        for field in NOT_KEPT:
            say(f"not kept this way: {field}")
        for table, count in backup.manifest.counts.items():
            if count and table not in PORTABLE and not table.startswith("artifact"):
                say(f"not carried this way: {table} ({count} rows)")
        if not dry:
            importing.run(plan)
        return plan
