"""The portable way in: shells first, then what is in them, then versions, and aliases at the very end."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from types import TracebackType
from typing import Self, TypeVar

from handful_backup.archive import BackupReader
from handful_backup.artifacts import Places
from handful_backup.increment import DIGESTS, require_base
from handful_backup.leftovers import work_folder
from handful_backup.plan import Plan, Wish
from handful_backup.portable.experiments import Experiments
from handful_backup.portable.models import LoggedModels
from handful_backup.portable.planning import make_plan
from handful_backup.portable.recognition import Found, Recognition
from handful_backup.portable.runs import Runs
from handful_backup.portable.scratch import Scratch
from handful_backup.portable.versions import Versions
from handful_backup.portable.wanted import Wanted
from handful_backup.progress import Progress
from handful_backup.restoring import Restoring
from handful_backup.selection import Chosen
from handful_backup.tables import Record
from handful_core.registry.rest import Rest

_Item = TypeVar("_Item")


class PortableImport:
    """An import over REST.

    Args:
        rest: the server.
        places: where artifacts go.
        backup: what is brought.
        chosen: what of it is wanted; None for all.
        wish: what happens to what is there.
        progress: shows how far it is.
        jobs: requests at the same time.
    """

    def __init__(
        self,
        rest: Rest,
        places: Places,
        backup: BackupReader,
        chosen: Chosen | None,
        wish: Wish,
        progress: Progress,
        jobs: int,
    ) -> None:
        self._rest = rest
        self._backup = backup
        self._chosen = chosen
        self._wish = wish
        self._progress = progress
        self._jobs = jobs
        self._stack = ExitStack()
        self._recognition = Recognition(rest, wish.prefix)
        self._known = self._recognition.known
        self._restoring = Restoring(backup, places, progress, jobs)

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            self._scratch = Scratch(stack.enter_context(work_folder()) / "rows.db")
            stack.callback(self._scratch.close)
            self._scratch.fill(self._backup, self._chosen)
            self._stack = stack.pop_all()
        self._runs = Runs(self._rest, self._scratch, self._recognition, self._restoring)
        self._models = LoggedModels(self._rest, self._scratch, self._recognition, self._restoring)
        self._versions = Versions(
            self._rest, self._scratch, self._recognition, self._models, self._restoring, self._wish.prefix
        )
        self._wanted = Wanted(self._scratch, self._known, self._wish)
        self._experiments = Experiments(self._rest, self._wanted, self._restoring)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    @property
    def recognition(self) -> Recognition:
        """What the server has, once it was planned."""
        return self._recognition

    def plan(self) -> Plan:
        """Compare the backup with the server."""
        scratch = self._scratch
        self._recognition.experiments(scratch.rows("experiments"))
        # Those too that an incremental backup leaves out.
        left_out = scratch.rows(DIGESTS) if self._backup.manifest.base else ()
        wanted = dict.fromkeys(row["run_uuid"] for rows in (scratch.rows("runs"), left_out) for row in rows)
        self._recognition.runs(list(wanted))
        require_base(self._backup, self._known.runs)
        carried = (f"version {name}" for kind, name in self._restoring.by_folder() if kind == "versions")
        self._recognition.models([*(row["model_id"] for row in self._wanted.logged_models()), *carried])
        for row in scratch.rows("registered_models"):
            self._recognition.versions(row["name"], self._wanted.versions(row["name"]))
        return make_plan(self._wanted)

    def run(self, plan: Plan) -> None:
        """Do what the plan says. Broken off at any point, a second run goes on from there."""
        if plan.nothing_to_do:
            return
        self._experiments.make()
        self._experiments.refuse_folders_elsewhere()
        runs = [
            row for row in self._scratch.rows("runs") if self._wanted.run(self._known.runs.get(row["run_uuid"]), row)
        ]
        self._progress.bytes("runs and artifacts", sum(m.size for m in self._backup.artifacts.values()))
        self._make(runs, "run_uuid", self._known.runs, self._runs.make)
        models = [
            row for row in self._wanted.logged_models() if self._wanted.model(self._known.models.get(row["model_id"]))
        ]
        self._make(models, "model_id", self._known.models, self._models.make)
        self._each(models, self._models.fill)
        self._each(runs, self._runs.fill)
        for row in self._scratch.rows("registered_models", order="name"):
            self._make_versions(row, plan)
        for row in self._scratch.rows("registered_models", order="name"):
            self._point(row["name"])
        self._experiments.delete()

    def _make(self, rows: Iterable[Record], key: str, known: dict[str, Found], make: Callable[[Record], Found]) -> None:
        missing = [row for row in rows if row[key] not in known]
        with ThreadPoolExecutor(self._jobs) as pool:
            for row, found in zip(missing, pool.map(make, missing), strict=True):
                known[row[key]] = found

    def _each(self, rows: Iterable[Record], work: Callable[[Record], None]) -> None:
        with ThreadPoolExecutor(self._jobs) as pool:
            for _ in pool.map(work, rows):
                pass

    def _make_versions(self, row: Record, plan: Plan) -> None:
        name = self._wish.prefix + row["name"]
        if name not in self._known.numbers:
            self._versions.make_model(row)
        elif self._wish.overwrite:
            self._versions.update_model(row)
        seen = last = max(self._known.numbers.get(name, [0]), default=0)
        for here, number in self._known.fillers:
            if here == name:
                self._versions.remove(name, number)
        for version in self._wanted.versions(row["name"]):
            found = self._known.versions.get((name, version["version"]))
            if found is None:
                last = self._versions.make(version, last)
                self._known.versions[name, version["version"]] = last
                if seen < version["version"] != last:
                    plan.notes.append(f"model {name}: version {version['version']} becomes {last}: its number was used")
                continue
            if self._wish.overwrite:
                self._versions.update(version, found)
            if self._wanted.stage(name, version):
                self._versions.set_stage(name, found, version)

    def _point(self, name: str) -> None:
        here = self._wish.prefix + name
        for alias, version in self._wanted.aliases(name).items():
            now = self._known.aliases.get(here, {}).get(alias)
            number = self._known.versions[here, version]
            if now is None or (now != number and self._wish.overwrite):
                self._versions.point(here, alias, number)
