"""How the tests are shared out among the workers of pytest-xdist, which `scripts/test.sh` starts two of."""

from __future__ import annotations

import pytest
from xdist.scheduler import LoadScopeScheduling

_TOGETHER = (
    "tests/stack/",
    "tests/integration/backup/",
    "tests/integration/trainer/",
    "tests/integration/serving/",
    "tests/integration/quickstart/",
)
"""Folders whose tests share servers that take long to start, those that take the longest first."""
_LAST = "tests/browser/"
"""Playwright keeps an event loop running in the main thread: after it, no test can have one of its own."""


class Sharing(LoadScopeScheduling):
    """A worker gets whole folders of `_TOGETHER` and otherwise whole files, so that what they share is made once."""

    def __init__(self, config: pytest.Config, log: object) -> None:
        config.option.loadscopereorder = False  # `place` has put them in order.
        super().__init__(config, log)  # type: ignore[arg-type]

    def _split_scope(self, nodeid: str) -> str:
        return next((folder for folder in _TOGETHER if nodeid.startswith(folder)), nodeid.partition("::")[0])


def place(item: pytest.Item, *, shared: bool) -> int:
    """Where in the order a test stands: browsers last, and what takes long first if there are several workers."""
    if item.nodeid.startswith(_LAST):
        return len(_TOGETHER) + 1
    places = (number for number, folder in enumerate(_TOGETHER) if item.nodeid.startswith(folder))
    return next(places, len(_TOGETHER)) if shared else 0
