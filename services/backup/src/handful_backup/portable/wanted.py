"""What of a backup has still to be brought to a server."""

from __future__ import annotations

from collections.abc import Iterator

from handful_backup.plan import Wish
from handful_backup.portable.recognition import Found, Known
from handful_backup.portable.scratch import Scratch
from handful_backup.portable.versions import NO_STAGE, numbered, stage_of
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
        return found is None or not found.whole or self._is_still_there(found, row) or self.wish.overwrite

    def model(self, found: Found | None) -> bool:
        """Whether a logged model is to be filled."""
        return found is None or not found.whole or self.wish.overwrite

    def experiment(self, found: Found, row: Record) -> bool:
        """Whether an experiment that is there changes."""
        return self.wish.overwrite or self._is_still_there(found, row)

    def experiment_goes(self, found: Found, row: Record) -> bool:
        """Whether an experiment is to be deleted at the end: as it is in the backup, or was here and does not give way.

        One that an import made is not deleted before all is in it.
        """
        if self.wish.overwrite:
            return bool(row["lifecycle_stage"] == "deleted")
        return found.deleted or self._is_still_there(found, row)

    def version(self, name: str, row: Record) -> bool:
        """Whether a version that is there changes."""
        return self.wish.overwrite or self.stage(name, row)

    def stage(self, name: str, row: Record) -> bool:
        """Whether a version is to get its stage of old: the import that made it was broken off, or it gives way."""
        number = self.known.versions.get((name, row["version"]))
        if self.wish.overwrite:
            return self.known.stages.get((name, number or 0), NO_STAGE) != stage_of(row)
        return (name, number) in self.known.bare and stage_of(row) != NO_STAGE

    def _is_still_there(self, found: Found, row: Record) -> bool:
        made_by_import = found.digest is not None and not found.native
        return made_by_import and row["lifecycle_stage"] == "deleted" and not found.deleted
