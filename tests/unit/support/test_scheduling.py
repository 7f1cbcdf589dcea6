"""How the tests are shared out: what two workers may do at once, and what goes together."""

from __future__ import annotations

from contextlib import AbstractContextManager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from support.network_lock import exclusive, shared
from support.scheduling import FolderScheduling, sort_key

fcntl = pytest.importorskip("fcntl", reason="Windows has neither it nor the stack")
_WORKER: Any = SimpleNamespace(workerinput={})
_ALONE: Any = SimpleNamespace()


def _can(folder: Path, how: int) -> bool:
    with (folder / "network.lock").open("w") as file:
        try:
            fcntl.flock(file, how | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True


@pytest.mark.parametrize(("hold", "browsers"), [(exclusive, False), (shared, True)])
def test_a_network_changes_only_while_nobody_uses_it(tmp_path: Path, hold: Any, browsers: bool) -> None:
    block: AbstractContextManager[None] = hold(_WORKER, tmp_path / "gw0")()
    with block:
        assert _can(tmp_path, fcntl.LOCK_SH) is browsers
        assert not _can(tmp_path, fcntl.LOCK_EX)
    assert _can(tmp_path, fcntl.LOCK_EX)


def test_where_one_test_runs_at_a_time_nobody_waits(tmp_path: Path) -> None:
    with exclusive(_ALONE, tmp_path / "own")(), shared(_ALONE, tmp_path / "own")():
        assert not list(tmp_path.iterdir())


def test_what_shares_servers_stays_together_and_browsers_come_last() -> None:
    scope = FolderScheduling._split_scope
    names = [f"tests/{name}::test_it[a::b]" for name in ("stack/test_a.py", "unit/b.py", "browser/pages/c.py")]
    assert [scope(None, name) for name in names] == ["tests/stack/", "tests/unit/b.py", "tests/browser/pages/c.py"]  # type: ignore[arg-type]
    items: list[Any] = [SimpleNamespace(nodeid=name) for name in reversed(names)]
    for grouped, first in ((True, "stack"), (False, "unit")):
        order = [item.nodeid.split("/")[1] for item in sorted(items, key=lambda item: sort_key(item, grouped=grouped))]
        assert (order[0], order[-1]) == (first, "browser")
