"""What a person reads while a backup is made."""

from __future__ import annotations

import pytest

from handful_backup.cli.export import counted
from handful_backup.progress import Progress


@pytest.mark.parametrize(("count", "said"), [(0, "0 versions"), (1, "1 version"), (2000, "2,000 versions")])
def test_a_count_agrees_with_its_noun(count: int, said: str) -> None:
    assert counted(count, "version") == said


def test_no_bar_is_shown_for_no_bytes() -> None:
    with Progress() as progress:
        progress.bytes("artifacts", 0)
        assert [task.visible for task in progress._bars.tasks] == [False]
        progress.grow(10)
        assert [(task.visible, task.total) for task in progress._bars.tasks] == [(True, 10)]
