"""What of a backup has still to be brought to a server."""

from __future__ import annotations

from collections.abc import Iterator

from handful_backup.increment import DIGESTS
from handful_backup.plan import Wish
from handful_backup.portable.recognition import Found, Known
from handful_backup.portable.scratch import Scratch
from handful_backup.portable.versions import NO_STAGE, numbered
from handful_backup.stages import champions
from handful_backup.tables import Record
from handful_core.registry import CHAMPION


class Wanted:
    """Compares a backup's rows with what a server has.

    Args:
        scratch: the rows.
        known: what the server has.
        wish: what happens to that.
    """

    def __init__(self, scratch: Scratch, known: Known, wish: Wish) -> None:
        self.scratch = scratch
        self.known = known
        self.wish = wish
        self._digests = {row["run_uuid"]: row["digest"] for row in scratch.rows(DIGESTS)}

    def logged_models(self) -> Iterator[Record]:
        """Those that are there: REST has no way to make a deleted one."""
        return self.scratch.rows("logged_models", "lifecycle_stage IS NOT 'deleted'")

    def versions(self, name: str) -> list[Record]:
        """A model's versions, by number."""
        return numbered(list(self.scratch.rows("model_versions", "name = ?", name)))

    def aliases(self, name: str) -> dict[str, int]:
        """A model's aliases, with what stages of old stand for."""
        rows = list(self.scratch.rows("registered_model_aliases", "name = ?", name))
        aliases = {str(row["alias"]): int(row["version"]) for row in rows}
        for version in champions(self.versions(name), rows).values():  # One, or none.
            aliases[CHAMPION] = version
        return aliases

    def run(self, found: Found | None, row: Record) -> bool:
        """Whether a run is to be filled: it is new, was broken off, or gives way to what the backup has."""
        if found is None or not found.whole or self._is_still_there(found, row):
            return True
        return self.wish.overwrite and found.digest != self._digests.get(row["run_uuid"], "-")

    def model(self, found: Found | None) -> bool:
        """Whether a logged model is to be filled."""
        return found is None or not found.whole

    def experiment_goes(self, found: Found, row: Record) -> bool:
        """Whether an experiment that an import made is deleted in the backup and has not been here yet."""
        return self._is_still_there(found, row)

    def stage(self, name: str, row: Record) -> bool:
        """Whether a version that an import made was left without its stage."""
        number = self.known.versions.get((name, row["version"]))
        return (name, number) in self.known.bare and row["current_stage"] not in NO_STAGE

    def _is_still_there(self, found: Found, row: Record) -> bool:
        made_by_import = found.digest is not None and not found.native
        return made_by_import and row["lifecycle_stage"] == "deleted" and not found.deleted
