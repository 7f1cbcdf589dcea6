"""A mailbox with room for one: a slow receiver gets the newest item, not the oldest."""

from __future__ import annotations

import asyncio
from typing import Generic, TypeVar

_Item = TypeVar("_Item")


class Mailbox(Generic[_Item]):
    """Keeps the newest item until it is taken. It runs on the event loop."""

    def __init__(self) -> None:
        self._item: _Item | None = None
        self._filled = asyncio.Event()

    def put(self, item: _Item) -> _Item | None:
        """Leave an item, and return the one that it replaces."""
        replaced, self._item = self._item, item
        self._filled.set()
        return replaced

    async def take(self) -> _Item:
        """The newest item, as soon as there is one."""
        while self._item is None:
            await self._filled.wait()
        item, self._item = self._item, None
        self._filled.clear()
        return item
