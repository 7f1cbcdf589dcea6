"""How pytest-xdist distributes the tests among its workers, of which `scripts/test.sh` starts two."""

from __future__ import annotations

import pytest
from xdist.scheduler import LoadScopeScheduling

_GROUPED = (
    "tests/integration/trainer/",
    "tests/integration/backup/",
    "tests/stack/",
    "tests/integration/serving/",
    "tests/integration/quickstart/",
    "tests/integration/alerts/",
)
"""Folders whose tests share servers that take long to start, those that take the longest first.

The stack's come third: its images are built beside the others, which takes ten minutes on a new machine.
"""
_LAST = "tests/browser/"
"""Playwright keeps an event loop running in the main thread: after it, no test can have one of its own."""


class FolderScheduling(LoadScopeScheduling):
    """A worker gets whole folders of `_GROUPED` and otherwise whole files, so that what they share is made once."""

    def __init__(self, config: pytest.Config, log: object) -> None:
        config.option.loadscopereorder = False  # `sort_key` has put them in order.
        super().__init__(config, log)  # type: ignore[arg-type]

    def _split_scope(self, nodeid: str) -> str:
        return next((folder for folder in _GROUPED if nodeid.startswith(folder)), nodeid.partition("::")[0])


def sort_key(item: pytest.Item, *, grouped: bool) -> int:
    """Where in the order a test stands: browsers last, and what takes long first if there are several workers."""
    if item.nodeid.startswith(_LAST):
        return len(_GROUPED) + 1
    places = (number for number, folder in enumerate(_GROUPED) if item.nodeid.startswith(folder))
    return next(places, len(_GROUPED)) if grouped else 0
